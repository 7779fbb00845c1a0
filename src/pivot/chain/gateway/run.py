"""The gateway's process: gRPC and REST on two ports, over the database that the application writes."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import uvicorn

from pivot.chain.gateway.blocks import block_methods
from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method
from pivot.chain.gateway.node import NODE, node_methods
from pivot.chain.gateway.reflection import REFLECTION
from pivot.chain.gateway.rest import RestApplication
from pivot.chain.gateway.rpc import grpc_server
from pivot.chain.gateway.transactions import transaction_methods
from pivot.chain.handlers import QueryTable
from pivot.chain.modules.params import state as params
from pivot.chain.registry import QUERIES
from pivot.chain.store.database import ReadOnlyDatabase
from pivot.chain.store.errors import NoStore
from pivot.chain.types import View

WAIT_FOR_STATE_MS = 100
GRPC_GRACE_SECONDS = 2
HTTP_GRACE_SECONDS = 2
MAX_OPEN_REQUESTS = 1_024

_log = logging.getLogger(__name__)


async def run_gateway(database: Path, rpc_url: str, grpc_address: str, rest_address: str) -> None:
    """Serve until SIGINT or SIGTERM. `grpc_address` and `rest_address` are `host:port`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    state = await _opened(database, stop)
    if state is None:
        return
    with state:
        committed = CommittedState(lambda: _view(state))
        async with aiohttp.ClientSession() as session:
            engine = Engine(session, rpc_url)
            methods = gateway_methods(committed, engine)
            rpc = grpc_server(methods, grpc_address)
            await rpc.start()
            rest = _rest_server(RestApplication(methods), rest_address)
            serving = asyncio.create_task(rest.serve())
            _log.info("gRPC on %s, REST on %s", grpc_address, rest_address)
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            rest.should_exit = True
            await rpc.stop(GRPC_GRACE_SECONDS)
            await serving
        committed.close()


def gateway_methods(committed: CommittedState, engine: Engine) -> list[Method]:
    """All that the gateway answers."""
    asked_here = QueryTable([*NODE, *REFLECTION])
    return [
        *committed.methods(QUERIES),
        *committed.methods(asked_here),
        *block_methods(engine),
        *node_methods(engine),
        *transaction_methods(engine),
    ]


class _Server(uvicorn.Server):
    """Leaves the signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _rest_server(application: RestApplication, address: str) -> uvicorn.Server:
    host, _, port = address.rpartition(":")
    config = uvicorn.Config(
        application,
        host=host,
        port=int(port),
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=MAX_OPEN_REQUESTS,
        timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
    )
    return _Server(config)


async def _opened(database: Path, stop: asyncio.Event) -> ReadOnlyDatabase | None:
    """The database, as soon as the application has made it; None when the process should end first."""
    while not stop.is_set():
        with contextlib.suppress(NoStore):
            return ReadOnlyDatabase.open(database)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), WAIT_FOR_STATE_MS / 1000)
    return None


@contextmanager
def _view(database: ReadOnlyDatabase) -> Iterator[View]:
    with database.view() as snapshot:
        yield params.view_of(snapshot)
