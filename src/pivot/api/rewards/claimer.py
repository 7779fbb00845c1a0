"""Claiming what an ended epoch has earned: once, after the switch, while the claim is open."""

import logging

from pivot.api.each_moment import EachMoment
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, ChainRefused, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.rewards.membership import is_member
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryGetSettleAmountRequest,
    QueryGetSettleAmountResponse,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards
from pivot.protocol.generated.inference.inference.types_pb2 import EpochBoundaries

SETTLE_AMOUNT_PATH = "/inference.inference.Query/SettleAmount"

log = logging.getLogger(__name__)


class Claimer:
    """Claims every ended epoch. Claims are open until the next switch, so only the last one can be claimed."""

    def __init__(self, identity: Identity, chain: Chain, outbox: Outbox, phases: Phases) -> None:
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._settled_epoch = 0
        """The last epoch with which nothing is left to do."""
        self._steps = EachMoment("claimer", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def _step(self, moment: Moment) -> None:
        ended = moment.effective.index - 1
        marks = moment.effective.boundaries
        if ended <= self._settled_epoch or moment.head.height + 1 < marks.claim_money:
            return
        if await is_member(self._chain, ended, self._identity.address):
            if not await self._is_settled(ended):
                return
            message = MsgClaimRewards(creator=self._identity.address, epoch_index=ended)
            await self._outbox.put(f"claim:{ended}", message, deadline_height=last_claim(marks))
        self._settled_epoch = ended

    async def _is_settled(self, epoch: int) -> bool:
        """Whether the chain has settled with this host; with many hosts that takes some blocks."""
        request = QueryGetSettleAmountRequest(participant=self._identity.address)
        try:
            answer = await self._chain.query(SETTLE_AMOUNT_PATH, request, QueryGetSettleAmountResponse)
        except ChainRefused as error:
            if error.not_found:
                return False
            raise
        return answer.settle_amount.epoch_index == epoch


def last_claim(marks: EpochBoundaries) -> int:
    """Last height before the switch after the one in `marks`, at which claims are closed."""
    length = marks.next_poc_start - marks.poc_start
    return marks.set_new_validators + length - 1
