"""Pivot's API node, transfer agent and executor in one, in a process of its own: the public port's whole stack, the real
database and outbox. Only the chain is held in memory, and makes no blocks.
"""

import asyncio
import cProfile
import logging
import secrets
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import structlog
import uvloop

from pivot.api import interpreter
from pivot.api.database import Base, connect
from pivot.api.http.front import Front
from pivot.api.http.openai import QuestionEndpoint
from pivot.api.http.quotas import PerAddress
from pivot.api.identity import Identity
from pivot.api.inference.request import PATHS
from pivot.api.inference.service import InferenceService
from pivot.api.ledger.outbox import DurableOutbox
from pivot.api.listening import Listener, bind
from pivot.api.metrics.traffic import Traffic
from pivot.api.readiness.checks import Readiness
from pivot.api.settings import ApiSettings, HttpSettings
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from tests.api.inference.engine import FakeEngine
from tests.api.inference.network import EPOCH, FakeChain, FakeFleet, FakePhases

BALANCE = 10**15


def run(pipe: Connection, upstream_port: int, home: Path, developer: str, profile: Path | None) -> None:
    """Serve until anything comes through the pipe; first the port and the host's address go through it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    interpreter.prepare()
    if profile is None:
        uvloop.run(_serve(pipe, upstream_port, home, developer))
        return
    recorder = cProfile.Profile(time.thread_time)
    recorder.runcall(uvloop.run, _serve(pipe, upstream_port, home, developer))
    recorder.dump_stats(profile)


async def _serve(pipe: Connection, upstream_port: int, home: Path, developer: str) -> None:
    chain, phases = FakeChain(), FakePhases()
    settings = ApiSettings(home=home, api=HttpSettings(allow_private_urls=True))
    identity = Identity.load(home)
    chain.form_group(EPOCH, {identity.address: 10})
    chain.balances[developer] = BALANCE
    chain.participants[identity.address] = Participant(
        index=identity.address,
        address=identity.address,
        inference_url="http://127.0.0.1",
        status=ParticipantStatus.ACTIVE,
        account_public_key=identity.account.public_key,
        gateway_address=identity.gateway.address,
    )
    fleet = FakeFleet([FakeEngine(url=f"http://127.0.0.1:{upstream_port}")])
    database = connect(f"sqlite+aiosqlite:///{home / 'api.sqlite'}")
    async with AsyncExitStack() as parts:
        parts.push_async_callback(database.close)
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        http = await parts.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
        )
        outbox = DurableOutbox(database, identity.account, chain, chain, phases)  # type: ignore[arg-type]  # no block comes
        await outbox.start()  # and no close: it would hand all to a chain that is not there
        service = InferenceService(settings, identity, database, chain, outbox, fleet, phases, http)  # type: ignore[arg-type]  # only what is asked
        await service.start()
        parts.push_async_callback(service.close)
        await phases.set(phases.moment)  # type: ignore[arg-type]  # there is one from the start
        front = Front(Traffic(), Readiness())
        front.open(QuestionEndpoint(service), PATHS)
        bound = bind("127.0.0.1", 0, "the benchmark's port")
        listener = Listener(PerAddress(front, settings.api), bound)
        await listener.start()
        parts.push_async_callback(listener.close)
        interpreter.spare_what_is_there()
        pipe.send((bound.getsockname()[1], identity.address))
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), ended.set)
        await ended.wait()


def new_seed() -> bytes:
    """Of a developer's key."""
    return secrets.token_bytes(32)
