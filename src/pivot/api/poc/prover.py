"""The host's own proof of compute: sends the fleet into the sprint, keeps its leaves, commits to them.

Everything follows from the phase and from what is recorded, so a node that was away takes up where it should be.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.fleet.hardware import known_nodes
from pivot.api.fleet.interface import Duty, Fleet, FleetNode, Train
from pivot.api.fleet.models import registered_models
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.callback import callback_token, callback_url
from pivot.api.poc.duties import Assignment, Stage, duty_of, nodes_serving_through, stage_at, told_at
from pivot.api.poc.leaves import LeafFiles
from pivot.api.poc.records import SprintRecord, keep_sprint, prune_records, sprint_record
from pivot.api.settings import ApiSettings
from pivot.protocol import hash_chain
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCommitPoc
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, PocNodeCommit
from pivot.protocol.mlnode_api import GeneratedBatch
from pivot.protocol.poc import MAX_NODES_PER_HOST

LEAVES_FOLDER = "poc"
LAST_LEAVES_DIVISOR = 3
"""Leaves under way may arrive in the first third of the exchange window; then the books are closed."""

log = logging.getLogger(__name__)


class SprintOver(Exception):
    """The books of this sprint are closed."""


class NotReady(Exception):
    """The node does not know yet where the network stands."""


class ForeignBatch(ValueError):
    """A batch that is not of this host, or of no node that it has."""


class Prover:
    """The host as prover."""

    def __init__(
        self,
        database: Database,
        settings: ApiSettings,
        identity: Identity,
        chain: Chain,
        outbox: Outbox,
        fleet: Fleet,
        phases: Phases,
        training_of: Callable[[str], Train | None] = lambda _: None,
    ) -> None:
        """training_of: what the node of an id is promised to."""
        self.leaves = LeafFiles(settings.home / LEAVES_FOLDER)
        self._database = database
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._fleet = fleet
        self._phases = phases
        self._training_of = training_of
        self._callback = callback_url(settings), callback_token(settings)
        self._assignment: Assignment | None = None
        self._closed_epoch = 0
        """The last epoch whose books are closed."""
        self._sent_epoch = 0
        """The last epoch whose commit is with the outbox, or needs none."""
        self._steps = EachMoment("prover", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    def accept(self, batch: GeneratedBatch) -> None:
        """Keep the leaves that an ML node has computed; a batch that came before changes nothing.

        Raises SprintOver, NotReady, LeavesOutOfOrder, ForeignBatch.
        """
        moment = self._phases.moment
        if moment is None:
            raise NotReady("no block was seen yet")
        if batch.host_address != self._identity.address:
            raise ForeignBatch(f"host_address {batch.host_address!r} is not this host")
        if all(node.node_number != batch.node_id for node in self._fleet.nodes()):
            raise ForeignBatch(f"node_id {batch.node_id} is no node of this host")
        if batch.epoch > moment.latest.index:
            raise NotReady(f"the sprint of epoch {batch.epoch} was not seen yet")
        if batch.epoch < moment.latest.index or batch.epoch <= self._closed_epoch or _books_close(moment):
            raise SprintOver(f"the sprint of epoch {batch.epoch} is over")
        self.leaves.append(batch.epoch, batch.node_id, batch.first_index, b"".join(batch.leaves()))

    async def _step(self, moment: Moment) -> None:
        serving_through = await self._nodes_serving_through(moment)
        await self._assign(moment, serving_through)
        epoch = moment.latest
        if epoch.index and epoch.index > self._sent_epoch and _books_close(moment):
            await self._commit(epoch, moment, serving_through)

    async def _nodes_serving_through(self, moment: Moment) -> frozenset[int]:
        if stage_at(moment) is Stage.SERVING:
            return frozenset()
        group = await self._chain.epoch_group(moment.latest.index - 1)
        return nodes_serving_through(group, self._identity.address)

    async def _assign(self, moment: Moment, serving_through: frozenset[int]) -> None:
        """Tell the fleet what the stage asks for, once per stage."""
        stage, before = stage_at(moment), self._assignment
        same_stage = before is not None and (before.stage, before.epoch.index) == (stage, moment.latest.index)
        if same_stage and not self._model_missing():
            return
        models = await registered_models(self._chain)
        if same_stage and before is not None and models == before.models:
            return
        if before is None or before.epoch.index != moment.latest.index:
            await asyncio.to_thread(self.leaves.prune, moment.latest.index)
            await prune_records(self._database, moment.latest.index)
        url, token = self._callback
        assignment = Assignment(stage, moment.latest, serving_through, models, self._identity.address, url, token)
        self._assignment = assignment
        self._fleet.assign(lambda node: self._duty(node, assignment))

    def _duty(self, node: FleetNode, assignment: Assignment) -> Duty:
        """What a node should do now: leaves that are here are not to be made again, and blocks that have passed are told."""
        epoch, moment = assignment.epoch, self._phases.moment
        duty = duty_of(
            node, assignment, lambda number: self.leaves.count(epoch.index, number), self._training_of(node.id)
        )
        return told_at(duty, epoch, moment.head.height) if moment else duty

    def _model_missing(self) -> bool:
        """Whether a node is declared for models none of which was known when duties were assigned."""
        known = self._assignment.models if self._assignment else {}
        return any(node.models and not any(model in known for model in node.models) for node in self._fleet.nodes())

    async def _commit(self, epoch: Epoch, moment: Moment, serving_through: frozenset[int]) -> None:
        """Close the books, then send what they say while the chain still takes it."""
        self._closed_epoch = epoch.index
        record = await sprint_record(self._database, epoch.index)
        deadline = epoch.boundaries.poc_exchange_end
        in_time = moment.head.height < deadline
        if record is None and in_time:
            record = await self._close_books(epoch, serving_through)
        if record is not None and record.commit is not None and in_time:
            await self._outbox.put(f"poc-commit:{epoch.index}", record.commit, deadline_height=deadline)
        self._sent_epoch = epoch.index

    async def _close_books(self, epoch: Epoch, serving_through: frozenset[int]) -> SprintRecord:
        """Count what is here, for good.

        Only nodes that the chain knows are counted: one that was added a moment ago would spoil the whole commit. Without
        leaves a host commits only if a node that serves through the sprint carries its weight. Raises LedgerError.
        """
        known = {node.node_number: node.local_id for node in await known_nodes(self._chain, self._identity.address)}
        await asyncio.to_thread(self.leaves.secure, epoch.index)
        nodes = [
            await asyncio.to_thread(self._node_commit, epoch.index, number, known[number])
            for number in self.leaves.node_numbers(epoch.index)
            if number in known and number not in serving_through and self.leaves.count(epoch.index, number)
        ]
        secret = secrets.token_bytes(hash_chain.ELEMENT_LENGTH)
        commit = MsgCommitPoc(
            creator=self._identity.address,
            epoch_index=epoch.index,
            nodes=nodes[:MAX_NODES_PER_HOST],
            hash_chain_tip=hash_chain.tip(self._chain.chain_id, epoch.index, self._identity.address, secret),
        )
        record = SprintRecord(epoch.index, secret, commit if nodes or serving_through else None)
        await keep_sprint(self._database, record)
        log.info("epoch %d: %d leaves of %d nodes", epoch.index, sum(node.count for node in nodes), len(nodes))
        return record

    def _node_commit(self, epoch: int, number: int, node_id: str) -> PocNodeCommit:
        count = self.leaves.count(epoch, number)
        root = self.leaves.tree(epoch, number, count).root()
        return PocNodeCommit(node_number=number, node_id=node_id, count=count, merkle_root=root)


def _books_close(moment: Moment) -> bool:
    """Whether the time for leaves is over."""
    marks = moment.latest.boundaries
    grace = (marks.poc_exchange_end - marks.poc_generation_end) // LAST_LEAVES_DIVISOR
    return moment.head.height >= marks.poc_generation_end + grace
