"""Revealing the host's hash chain: one element when a segment of its epoch has ended, in order, as long as the chain takes it.

What comes before the randomness is frozen counts for it; what comes later still proves the duties of its segment (design,
decisions 5 and 13). The last segments of an epoch end with it, so they are revealed while the next one is in force.
"""

import logging
from dataclasses import dataclass

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.epochs.served import ServedEpochs
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, ChainRefused, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.records import sprint_record
from pivot.api.rewards.membership import is_member
from pivot.protocol import hash_chain
from pivot.protocol.epochs import ended_segments
from pivot.protocol.generated.inference.inference.query_pb2 import QueryHashChainRequest, QueryHashChainResponse
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRevealElement
from pivot.protocol.generated.inference.inference.types_pb2 import EpochBoundaries

HASH_CHAIN_PATH = "/inference.inference.Query/HashChain"

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far the hash chain of one epoch is revealed."""

    epoch: int
    marks: EpochBoundaries
    next: int | None = None
    """The next segment to reveal; None while that must be asked of the chain."""
    over: bool = False
    """The chain takes no more elements of this epoch from this host."""


class Revealer:
    """Reveals for each epoch of which the host is a member; elements that were missed are caught up, one after the other."""

    def __init__(self, database: Database, identity: Identity, chain: Chain, outbox: Outbox, phases: Phases) -> None:
        self._database = database
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._epochs = ServedEpochs(database, chain)
        self._progress: dict[int, Progress] = {}
        """Of the epoch in force and the one before."""
        self._steps = EachMoment("revealer", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def _step(self, moment: Moment) -> None:
        current = moment.effective.index
        for index in (current - 1, current):
            if index > 0 and index not in self._progress:
                self._progress[index] = Progress(index, (await self._epochs.get(index, moment)).boundaries)
        self._progress = {index: progress for index, progress in self._progress.items() if index >= current - 1}
        for progress in self._progress.values():
            await self._catch_up(progress, moment.head.height)

    async def _catch_up(self, progress: Progress, height: int) -> None:
        ended = ended_segments(progress.marks, height + 1)  # seen from the block that can hold the message
        if progress.over or ended <= (progress.next or 0):
            return
        if not await is_member(self._chain, progress.epoch, self._identity.address):
            return
        record = await sprint_record(self._database, progress.epoch)
        if record is None or record.commit is None:
            return
        if progress.next is None:
            progress.next = await self._revealed(progress.epoch)
        if progress.next is None:
            log.warning("epoch %d: the chain has no commit of this host, so nothing can be revealed", progress.epoch)
            progress.over = True
        elif progress.next < ended:
            await self._reveal(progress, progress.next, record.secret)

    async def _reveal(self, progress: Progress, segment: int, secret: bytes) -> None:
        """Send one element, or see what became of it; the next goes out when the chain has this one."""
        epoch, address = progress.epoch, self._identity.address
        key = f"reveal:{epoch}:{segment}"
        outcome = await self._outbox.outcome(key)
        if outcome is None:
            element = hash_chain.element(self._chain.chain_id, epoch, address, secret, segment)
            message = MsgRevealElement(creator=address, epoch_index=epoch, segment=segment, element=element)
            await self._outbox.put(key, message, deadline_height=last_reveal(progress.marks))
        elif outcome.accepted:
            progress.next = segment + 1
        elif outcome.done:
            revealed = await self._revealed(epoch)
            progress.next, progress.over = revealed, revealed is None or revealed <= segment
            if progress.over:
                log.warning("the chain refused element %d of epoch %d: %s", segment, epoch, outcome.log)

    async def _revealed(self, epoch: int) -> int | None:
        """How many elements the chain has; None when it has no commit of this host."""
        request = QueryHashChainRequest(epoch_index=epoch, participant=self._identity.address)
        try:
            answer = await self._chain.query(HASH_CHAIN_PATH, request, QueryHashChainResponse)
        except ChainRefused as refusal:
            if refusal.not_found:
                return None
            raise
        return answer.hash_chain.revealed


def last_reveal(marks: EpochBoundaries) -> int:
    """Last height at which the chain takes elements of the epoch with these marks: the end of the epoch after it."""
    length = marks.next_poc_start - marks.poc_start
    return marks.set_new_validators + 2 * length - 1
