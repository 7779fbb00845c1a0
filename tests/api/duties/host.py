"""A host with everything that does its duties, on a disk that outlives it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import event

from pivot.api.database import Base, connect, database_url
from pivot.api.each_moment import EachMoment
from pivot.api.fleet.interface import Duty, FleetNode, Generate
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Head
from pivot.api.ledger.outbox import DurableOutbox
from pivot.api.phases import Moment, PhaseKeeper
from pivot.api.poc.checker import Checker
from pivot.api.poc.leaves_service import LeavesService
from pivot.api.poc.prover import NotReady, Prover, SprintOver
from pivot.api.rewards.claimer import Claimer
from pivot.api.rewards.revealer import Revealer
from pivot.api.settings import ApiSettings
from pivot.api.validation.service import AnswerChecking
from pivot.protocol.mlnode_api import GeneratedBatch, ValidateRequest, encode_fingerprints
from pivot.protocol.sprint import FINGERPRINT_BYTES, nonce_of
from tests.api.duties.network import MODEL, NODE, ChainNode, Network
from tests.chain.chain import key

LEAVES_PER_BLOCK = 6
SECONDS_PER_BLOCK = 10.0
"""Of the clock by which checks are tried again: the longest pause of the first attempts is over by the next block."""
PATIENCE_S = 30.0
POLL_S = 0.0005


@dataclass
class Machine:
    """The host's ML node, which goes on when its API node is gone: what it has computed waits until it is taken."""

    duties: Callable[[FleetNode], Duty] | None = None
    """What it was told by the last API node that was there."""
    sprint: int = 0
    """The epoch of the sprint that it is in; 0 for none."""
    computed: int = 0
    """Leaves of that sprint."""

    def nodes(self) -> Sequence[FleetNode]:
        node = FleetNode(
            id=NODE.local_id,
            node_number=NODE.node_number,
            models={MODEL: ()},
            max_concurrent=1,
            management_url="",
            inference_url="",
            enabled=True,
            reachable=True,
            duty=None,
            fulfils=True,
        )
        return [node]

    def assign(self, duties: Callable[[FleetNode], Duty]) -> None:
        self.duties = duties

    async def distances(self, request: ValidateRequest, *, timeout_s: float) -> list[int]:
        """All leaves are as they should be."""
        return [0] * len(request.nonces)

    def work(self, host: "Life | None") -> None:
        """A block's worth of passes, and the attempt to hand over what was computed."""
        if host is not None and self.duties is not None:
            duty = self.duties(self.nodes()[0])
            sprint = duty.init.epoch if isinstance(duty, Generate) else 0
            if sprint != self.sprint:
                self.sprint, self.computed = sprint, 0
        if not self.sprint:
            return
        self.computed += LEAVES_PER_BLOCK
        if host is not None:
            self._hand_over(host)

    def _hand_over(self, host: "Life") -> None:
        first = host.prover.leaves.count(self.sprint, NODE.node_number)
        leaves = [fingerprint(index) for index in range(first, self.computed)]
        batch = GeneratedBatch(
            epoch=self.sprint,
            host_address=host.address,
            node_id=NODE.node_number,
            batch_id=str(first),
            first_index=first,
            fingerprints=encode_fingerprints(b"".join(leaves)),
        )
        try:
            host.prover.accept(batch)
        except (SprintOver, NotReady):
            self.sprint = 0


def fingerprint(index: int) -> bytes:
    """What stands for a fingerprint here."""
    return nonce_of(NODE.node_number, index).to_bytes(FINGERPRINT_BYTES, "big")


@dataclass
class Heads:
    """The blocks that a host's chain node tells of."""

    newest: Head | None = None
    synced: bool = True
    _come: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, head: Head) -> None:
        self.newest = head
        self._come.set()

    async def next(self) -> Head:
        await self._come.wait()
        self._come.clear()
        assert self.newest is not None
        return self.newest


class Watched:
    """A loop of the host, and whether it has done what the newest moment asks for."""

    def __init__(self, loop: EachMoment) -> None:
        self.loop = loop
        self._step = loop._step
        self._stepping = False
        loop._step = self._watched

    @property
    def idle(self) -> bool:
        return not self._stepping and not self.loop._come.is_set()

    async def _watched(self, moment: Moment) -> None:
        self._stepping = True
        try:
            await self._step(moment)
        finally:
            self._stepping = False


class Dead(asyncio.CancelledError):
    """What a host meets that would write something after its death."""


class Life:
    """An API node between its start and its end."""

    dies_after: int | None = None
    """So many writes it makes, and dies at the next one; None for any number."""
    dead: bool = False

    def __init__(self, name: str, home: Path, network: Network, machine: Machine, http: aiohttp.ClientSession) -> None:
        self.writes = 0
        """To its disk, and to the mempool."""
        self.address = key(name).address
        self._network = network
        identity = Identity(account=key(name), gateway=key(f"gateway of {name}"))
        settings = ApiSettings(home=home)
        settings.api.allow_private_urls = True
        self.heads = Heads()
        self._database = connect(database_url("", home))
        self._chain = ChainNode(network, self._note_write)
        self.phases = PhaseKeeper(self.heads, self._chain)
        self.outbox = DurableOutbox(self._database, identity.account, self._chain, self._chain, self.phases)
        parts: Any = (self._database, settings, identity, self._chain, self.outbox, machine, self.phases)
        self.prover = Prover(*parts)
        self.leaves = LeavesService(self._database, identity, self._chain, self.prover.leaves)
        self.checker = Checker(*parts, self.leaves)
        self.revealer = Revealer(self._database, identity, self._chain, self.outbox, self.phases)
        self.answers = AnswerChecking(*parts, http, now_s=lambda: SECONDS_PER_BLOCK * network.chain.height)
        self.claimer = Claimer(identity, self._chain, self.outbox, self.phases, self.answers)
        self._parts: Any = [
            self.phases,
            self.outbox,
            self.prover,
            self.checker,
            self.revealer,
            self.answers,
            self.claimer,
        ]
        steps = (part._steps for part in self._parts[2:])
        self._loops = [Watched(loop) for loop in (self.outbox._each_block, *steps)]
        self._looking = False
        self._begin_due = self.answers._begin_due
        self.answers._begin_due = self._look_at_the_queue  # type: ignore[method-assign]  # a test stands between

    async def start(self) -> None:
        async with self._database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        event.listen(self._database.engine.sync_engine, "before_cursor_execute", self._note_statement)
        appender = self._database.writer._appender
        append = appender.append

        async def noted(rows: Any) -> None:
            self._note_write()
            await append(rows)

        appender.append = noted  # type: ignore[method-assign]  # a test stands between
        for part in self._parts:
            await part.start()

    async def close(self) -> None:
        """End it as a signal does."""
        for part in reversed(self._parts):
            await part.close()
        await self._let_go()

    async def kill(self) -> None:
        """End it as if its machine had been switched off: nothing is handed over, nothing is brought to an end."""
        tasks = [self.phases._task, self._database.writer._task, self.answers._taking, *self.answers._busy.values()]
        tasks += [each.loop._task for each in self._loops]
        tasks += [task for _, task in self.checker._checks.values()]
        begun = [task for task in tasks if task is not None]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        for client in (self.checker._client, self.answers._client):
            if client is not None:
                await client.close()
        await self._let_go()

    async def quiet(self, there: Callable[[str], bool]) -> None:
        """Wait until it is dead, or has done everything that it can do at this block. there: whether a host can be asked."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.dead and not self._has_done_all(there):
                await asyncio.sleep(POLL_S)
            self.answers._more.set()
            while not self.dead and (self.answers._more.is_set() or self._looking or self.answers._busy):
                await asyncio.sleep(POLL_S)

    def _has_done_all(self, there: Callable[[str], bool]) -> bool:
        moment = self.phases.moment
        if moment is None or moment.head.height < self._network.chain.height:
            return False
        checks = self.checker._checks.items()
        return all(each.idle for each in self._loops) and all(
            task.done() or not there(host) for host, (_, task) in checks
        )

    async def _look_at_the_queue(self, examiner: Any) -> None:
        self._looking = True
        try:
            await self._begin_due(examiner)
        finally:
            self._looking = False

    def _note_write(self) -> None:
        """Something is about to leave the host's memory. Raises Dead."""
        if self.writes == self.dies_after:
            self.dead = True
            raise Dead
        self.writes += 1

    def _note_statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self._note_write()

    async def _let_go(self) -> None:
        await self._chain.close()
        await self._database.close()
