"""Revealing the host's hash chain: one element when a segment of the epoch has ended, in order, while it still counts."""

import logging

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.records import sprint_record
from pivot.api.rewards.membership import is_member
from pivot.protocol import hash_chain
from pivot.protocol.epochs import ended_segments
from pivot.protocol.generated.inference.inference.query_pb2 import QueryHashChainRequest, QueryHashChainResponse
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRevealElement

HASH_CHAIN_PATH = "/inference.inference.Query/HashChain"

log = logging.getLogger(__name__)


class Revealer:
    """Reveals while the host is a member; elements that were missed are caught up, one after the other."""

    def __init__(self, database: Database, identity: Identity, chain: Chain, outbox: Outbox, phases: Phases) -> None:
        self._database = database
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._epoch = 0
        self._next: int | None = None
        """The next segment to reveal; None while that must be asked of the chain."""
        self._refused = False
        self._steps = EachMoment("revealer", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def _step(self, moment: Moment) -> None:
        epoch, height = moment.effective, moment.head.height
        if epoch.index != self._epoch:
            self._epoch, self._next, self._refused = epoch.index, None, False
        freeze = epoch.boundaries.randomness_freeze
        ended = ended_segments(epoch.boundaries, height + 1)  # seen from the block that can hold the message
        if self._refused or epoch.index == 0 or height >= freeze or ended <= (self._next or 0):
            return
        if not await is_member(self._chain, epoch.index, self._identity.address):
            return
        record = await sprint_record(self._database, epoch.index)
        if record is None or record.commit is None:
            return
        if self._next is None:
            self._next = await self._revealed(epoch.index)
        if self._next < ended:
            await self._reveal(self._next, record.secret, freeze)

    async def _reveal(self, segment: int, secret: bytes, freeze: int) -> None:
        """Send one element, or see what became of it; the next goes out when the chain has this one."""
        key = f"reveal:{self._epoch}:{segment}"
        outcome = await self._outbox.outcome(key)
        if outcome is None:
            element = hash_chain.element(self._chain.chain_id, self._epoch, self._identity.address, secret, segment)
            message = MsgRevealElement(
                creator=self._identity.address, epoch_index=self._epoch, segment=segment, element=element
            )
            await self._outbox.put(key, message, deadline_height=freeze)
        elif outcome.done and outcome.code == 0:
            self._next = segment + 1
        elif outcome.done:
            revealed = await self._revealed(self._epoch)
            self._next, self._refused = revealed, revealed <= segment
            if self._refused:
                log.warning("the chain refused element %d of epoch %d: %s", segment, self._epoch, outcome.log)

    async def _revealed(self, epoch: int) -> int:
        """How many elements the chain has."""
        request = QueryHashChainRequest(epoch_index=epoch, participant=self._identity.address)
        answer = await self._chain.query(HASH_CHAIN_PATH, request, QueryHashChainResponse)
        return answer.hash_chain.revealed
