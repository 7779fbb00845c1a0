"""Claiming what an ended epoch has earned: after the switch, when every answer that was to be checked is, while claims are open.

A claim that the chain refuses for undone duties is repeated when they are done. Near the end of its time an epoch is claimed
whatever is missing: a few checks may be. The host may claim by hand, too.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from pivot.api.each_moment import EachMoment
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, ChainRefused, Outbox, Outcome
from pivot.api.phases import Moment, Phases
from pivot.api.rewards.membership import is_member
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryGetSettleAmountRequest,
    QueryGetSettleAmountResponse,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards
from pivot.protocol.generated.inference.inference.types_pb2 import EpochBoundaries

SETTLE_AMOUNT_PATH = "/inference.inference.Query/SettleAmount"
DUTIES_MISSING = 1209
"""The chain's code for a claim that lacks checks of answers."""
LAST_SHARE = 6
"""In the last so manieth part of its time an epoch is claimed whatever is missing."""
MOST_CLAIMS = 20
"""So often an epoch is claimed that the chain refuses."""
RETRY_BLOCKS = 5
"""Between a refused claim and the next."""
RECOVERY_SECONDS = 30.0
"""How long a claim by hand waits for the chain."""

log = logging.getLogger(__name__)


class Duties(Protocol):
    """Who knows what is still to be checked (`validation/service.py`)."""

    async def missing(self, epoch: int) -> int:
        """Checks of an epoch's answers that are still to be done. Raises LedgerError."""
        ...


@dataclass(frozen=True)
class Recovery:
    """What became of a claim by hand."""

    epoch_index: int
    message: str
    missed_validations: int = 0
    already_claimed: bool = False
    claim_executed: bool = False


class Claimer:
    """Claims every ended epoch. Claims are open until the next switch, so only the last one can be claimed."""

    def __init__(self, identity: Identity, chain: Chain, outbox: Outbox, phases: Phases, duties: Duties) -> None:
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._phases = phases
        self._duties = duties
        self._settled_epoch = 0
        """The last epoch with which nothing is left to do."""
        self._not_before = 0
        """Height of the next claim after one that was refused."""
        self._claiming = asyncio.Lock()
        self._steps = EachMoment("claimer", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def recover(self, epoch: int | None, *, force: bool) -> Recovery:
        """Claim the epoch that ended last now; `force`: also when checks are missing. Raises LedgerError."""
        moment = self._phases.moment
        ended = 0 if moment is None else moment.effective.index - 1
        if moment is None or ended < 1 or epoch not in (None, ended):
            return Recovery(
                epoch or ended, f"claims are open for no epoch but {ended}" if ended > 0 else "no epoch has ended"
            )
        async with self._claiming:
            missing = await self._duties.missing(ended)
            made, outcome = await self._claims_made(ended)
            if outcome is not None and outcome.accepted:
                return Recovery(ended, "it is claimed already", missing, already_claimed=True)
            if outcome is None or outcome.done:
                if not await self._is_settled(ended):
                    return Recovery(ended, "nothing is owed, or the settlement is under way", missing)
                if missing and not force:
                    return Recovery(ended, f"{missing} checks of answers are still to be done", missing)
                if made == MOST_CLAIMS:
                    return Recovery(ended, f"it has been claimed {MOST_CLAIMS} times", missing)
                await self._claim(ended, made, moment)
                made += 1
        done = await self._outbox.wait(_key(ended, made - 1), RECOVERY_SECONDS)
        if done is None or not done.done:
            return Recovery(ended, "the claim is on its way", missing)
        said = "claimed" if done.accepted else f"the chain refused the claim: {done.log}"
        return Recovery(ended, said, missing, claim_executed=done.accepted)

    async def _step(self, moment: Moment) -> None:
        ended = moment.effective.index - 1
        marks = moment.effective.boundaries
        if ended <= self._settled_epoch or moment.head.height + 1 < marks.claim_money:
            return
        if not await is_member(self._chain, ended, self._identity.address):
            self._settled_epoch = ended
            return
        async with self._claiming:
            await self._claim_when_due(ended, moment)

    async def _claim_when_due(self, ended: int, moment: Moment) -> None:
        made, outcome = await self._claims_made(ended)
        if outcome is not None and not outcome.done:
            return
        if outcome is not None and (outcome.code != DUTIES_MISSING or made == MOST_CLAIMS):
            if not outcome.accepted:
                log.warning("the chain refused the claim of epoch %d: %s", ended, outcome.log)
            self._settled_epoch = ended
            return
        height, marks = moment.head.height, moment.effective.boundaries
        if height < self._not_before or not await self._is_settled(ended):
            return
        last = last_claim(marks)
        if height >= last - (last - marks.claim_money) // LAST_SHARE or not await self._duties.missing(ended):
            await self._claim(ended, made, moment)

    async def _claims_made(self, epoch: int) -> tuple[int, Outcome | None]:
        """How often an epoch has been claimed, and what became of the newest claim."""
        newest = None
        for number in range(MOST_CLAIMS):
            outcome = await self._outbox.outcome(_key(epoch, number))
            if outcome is None:
                return number, newest
            newest = outcome
        return MOST_CLAIMS, newest

    async def _claim(self, epoch: int, number: int, moment: Moment) -> None:
        self._not_before = moment.head.height + RETRY_BLOCKS
        message = MsgClaimRewards(creator=self._identity.address, epoch_index=epoch)
        deadline = last_claim(moment.effective.boundaries)
        await self._outbox.put(_key(epoch, number), message, deadline_height=deadline)

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


def _key(epoch: int, number: int) -> str:
    return f"claim:{epoch}:{number}" if number else f"claim:{epoch}"
