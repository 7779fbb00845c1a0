"""A host in this process, with everything that takes part in a sprint: real HTTP to its ML nodes, to it, and between hosts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from google.protobuf.message import Message
from starlette.routing import Route

from pivot.api.database import Database
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.fleet import HostFleet
from pivot.api.http.callbacks import callbacks_app
from pivot.api.identity import Identity
from pivot.api.poc.checker import Checker
from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.poc.leaves_service import LeavesService
from pivot.api.poc.prover import Prover
from pivot.api.settings import ApiSettings
from pivot.protocol.generated.inference.inference.query_pb2 import PocDuty
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCommitPoc, MsgSubmitPocVoteHash
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, PocCommit
from tests.api.databases import DatabaseAt, sqlite_at
from tests.api.fleet.chain import FakeChain, FakeOutbox, FakePhases, key, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.serving import public_port, serving


@dataclass
class Host:
    identity: Identity
    settings: ApiSettings
    database: Database
    chain: FakeChain
    outbox: FakeOutbox
    phases: FakePhases
    fleet: HostFleet
    prover: Prover
    leaves: LeavesService
    checker: Checker

    @property
    def address(self) -> str:
        return self.identity.address

    async def add(self, node: FakeMlNode, node_id: str = "node1") -> None:
        await self.fleet.put(NodeDeclaration.parse(node.declared(node_id)))
        await until(lambda: any(known.local_id == node_id for known in self.chain.hardware.get(self.address, [])))

    def commit(self, epoch: int = 1) -> MsgCommitPoc:
        message = self.outbox.messages[f"poc-commit:{epoch}"]
        assert isinstance(message, MsgCommitPoc)
        return message

    def include_commit(self, checkers: list[str], epoch: int = 1) -> None:
        """What the chain makes of the commit."""
        commit = self.commit(epoch)
        record = PocCommit(
            participant=commit.creator,
            epoch_index=commit.epoch_index,
            nodes=commit.nodes,
            hash_chain_tip=commit.hash_chain_tip,
        )
        self.chain.duties.setdefault(epoch, []).append(PocDuty(commit=record, checkers=checkers))


@asynccontextmanager
async def host(
    chain: FakeChain,
    phases: FakePhases,
    home: Path,
    database_at: DatabaseAt = sqlite_at,
    *,
    number: int = 1,
    started: bool = True,
) -> AsyncIterator[Host]:
    """Host `number`. All hosts of a test share chain and blocks."""
    async with AsyncExitStack() as stack:
        settings = _settings(home)
        identity = Identity(account=key(number), gateway=key(number + 100))
        database = await stack.enter_async_context(database_at(home))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        outbox = FakeOutbox(on_put=lambda key, message: taken(chain, key, message))
        fleet = HostFleet(database, http, settings, identity, chain, outbox)
        await fleet.start()
        stack.push_async_callback(fleet.close)
        callbacks: list[object] = []

        async def callback_port(scope: object, receive: object, send: object) -> None:
            await callbacks[0](scope, receive, send)  # type: ignore[operator]

        settings.api.poc_callback_url = await stack.enter_async_context(serving(callback_port))
        prover = Prover(database, settings, identity, chain, outbox, fleet, phases)
        callbacks.append(callbacks_app(settings, fleet, prover))
        leaves = LeavesService(database, identity, chain, prover.leaves)
        public = public_port(Route(LEAVES_PATH, leaves.endpoint))
        url = await stack.enter_async_context(serving(public))
        chain.participants[identity.address] = Participant(address=identity.address, inference_url=url)
        chain.keys[identity.address] = [identity.account.public_key]
        checker = Checker(database, settings, identity, chain, outbox, fleet, phases, leaves)
        if started:
            await prover.start()
            stack.push_async_callback(prover.close)
            await checker.start()
            stack.push_async_callback(checker.close)
        yield Host(identity, settings, database, chain, outbox, phases, fleet, prover, leaves, checker)


def taken(chain: FakeChain, key: str, message: Message) -> int | None:
    """What the chain takes at once: reports of hardware, and hashes of votes."""
    return 0 if isinstance(message, MsgSubmitPocVoteHash) else chain.take_hardware(key, message)


def _settings(home: Path) -> ApiSettings:
    home.mkdir(exist_ok=True)
    settings = ApiSettings(home=home)
    settings.api.allow_private_urls = True
    return settings
