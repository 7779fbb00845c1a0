"""Telling the chain what checks have found: reports on duties by segment, votes in disputes, as many as are ready in one message.

What became of a message the outbox knows, and what became of each report in it the chain: `settle_with_chain` holds one against
the other before a claim.
"""

import logging
from collections.abc import Sequence
from itertools import groupby

from google.protobuf.message import Message

from pivot.api.ledger.interface import Chain, Outbox, Outcome
from pivot.api.phases import Moment
from pivot.api.rewards.revealer import last_reveal
from pivot.api.validation.checks import Checks
from pivot.api.validation.rights import element_of
from pivot.api.validation.tables import Check, Kind, State
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryGetEpochGroupValidationsRequest,
    QueryGetEpochGroupValidationsResponse,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitValidations, MsgVoteDisputes
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    DisputeVote,
    EpochBoundaries,
    ValidationReport,
)

VALIDATIONS_PATH = "/inference.inference.Query/EpochGroupValidations"
MAX_REPORTS = 1_000
BATCH_BLOCKS = 5
"""Reports of a segment whose checks are not all done wait so long for each other."""
MAX_SENDINGS = 3
"""So often a message is sent that the chain has refused as a whole."""
_DIGEST_LENGTH = 16

log = logging.getLogger(__name__)


class Reports:
    """What is judged goes out, what is sent is followed."""

    def __init__(self, address: str, chain: Chain, outbox: Outbox, checks: Checks) -> None:
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._checks = checks
        self._ready_since: dict[tuple[int, int], int] = {}
        """Height at which the first report of a segment was ready."""
        self._pending = True
        """Whether there may be something to send or to follow."""

    def wake(self) -> None:
        """A verdict has come."""
        self._pending = True

    async def step(self, moment: Moment, marks_of: dict[int, EpochBoundaries]) -> None:
        """Follow what is sent, and send what is ready. marks_of: the epochs whose reports the chain takes. Raises LedgerError."""
        if not self._pending:
            return
        self._pending = False
        try:
            for kind in Kind:
                await self._follow(kind)
            await self._send_reports(moment.head.height, marks_of)
            await self._send_votes()
        except BaseException:
            self._pending = True
            raise

    async def settle_with_chain(self, epoch: int) -> None:
        """Send once more what the chain does not have of what was sent. Raises LedgerError."""
        done = [each for each in await self._checks.in_state(Kind.DUTY, State.DONE) if each.epoch == epoch]
        if not done:
            return
        request = QueryGetEpochGroupValidationsRequest(epoch_index=epoch, participant=self._address)
        answer = await self._chain.query(VALIDATIONS_PATH, request, QueryGetEpochGroupValidationsResponse)
        has = set(answer.epoch_group_validations.validated_inferences)
        missing = [each for each in done if each.inference_id not in has]
        self._pending = True
        again = [each for each in missing if _sendings(each) < MAX_SENDINGS]
        await self._checks.mark(again, State.JUDGED)
        await self._checks.mark([each for each in missing if _sendings(each) >= MAX_SENDINGS], State.DROPPED)

    async def _follow(self, kind: Kind) -> None:
        sent = await self._checks.in_state(kind, State.SENT)
        for key, together in groupby(sorted(sent, key=lambda check: check.sent_key), key=lambda check: check.sent_key):
            outcome = await self._outbox.outcome(key)
            if outcome is not None and not outcome.done:
                self._pending = True
                continue
            group = list(together)
            await self._checks.mark(group, _after(outcome, _sendings(group[0])))
            if outcome is not None and not outcome.accepted:
                log.warning("the chain refused %s: %s", key, outcome.log)

    async def _send_reports(self, height: int, marks_of: dict[int, EpochBoundaries]) -> None:
        judged = await self._checks.in_state(Kind.DUTY, State.JUDGED)
        waiting = {}
        for (epoch, segment), together in groupby(judged, key=lambda check: (check.epoch, check.segment)):
            group = list(together)
            if epoch not in marks_of:
                await self._checks.mark(group, State.DROPPED)
                continue
            since = self._ready_since.get((epoch, segment), height)
            complete = not await self._checks.queued_in(epoch, segment)
            if not complete and len(group) < MAX_REPORTS and height < since + BATCH_BLOCKS:
                waiting[epoch, segment] = since
                continue
            element = await element_of(self._chain, epoch, segment, self._address)
            if element is None:
                waiting[epoch, segment] = since
                continue
            for start in range(0, len(group), MAX_REPORTS):
                batch = group[start : start + MAX_REPORTS]
                message = MsgSubmitValidations(
                    creator=self._address,
                    epoch_index=epoch,
                    segment=segment,
                    element=element,
                    reports=[_report(each) for each in batch],
                )
                key = f"validations:{epoch}:{segment}:{_digest(batch)}"
                await self._send(batch, key, message, deadline_height=last_reveal(marks_of[epoch]))
        self._ready_since = waiting
        self._pending |= bool(waiting)

    async def _send_votes(self) -> None:
        judged = await self._checks.in_state(Kind.VOTE, State.JUDGED)
        for start in range(0, len(judged), MAX_REPORTS):
            batch = judged[start : start + MAX_REPORTS]
            votes = [
                DisputeVote(inference_id=each.inference_id, invalid=each.verdict != AnswerVerdict.ANSWER_PASSED)
                for each in batch
            ]
            message = MsgVoteDisputes(creator=self._address, votes=votes)
            deadline = max(each.deadline_height for each in batch)
            await self._send(batch, f"dispute-votes:{_digest(batch)}", message, deadline_height=deadline)

    async def _send(self, batch: Sequence[Check], key: str, message: Message, *, deadline_height: int) -> None:
        """In this order a crash in between doubles nothing: what is marked, and not in the outbox, is sent again (`_after`)."""
        self._pending = True
        full = f"{key}:{_sendings(batch[0]) + 1}"
        await self._checks.mark(batch, State.SENT, sent_key=full)
        await self._outbox.put(full, message, deadline_height=deadline_height)


def _after(outcome: Outcome | None, sendings: int) -> State:
    """What a message's end makes of its checks. None: it was never in the outbox, since the node ended between both."""
    if outcome is not None and outcome.accepted:
        return State.DONE
    return State.JUDGED if sendings < MAX_SENDINGS else State.DROPPED


def _sendings(check: Check) -> int:
    return int(check.sent_key.rpartition(":")[2]) if check.sent_key else 0


def _report(check: Check) -> ValidationReport:
    return ValidationReport(
        inference_id=check.inference_id, verdict=AnswerVerdict.Name(check.verdict), value_e6=check.value_e6
    )


def _digest(batch: Sequence[Check]) -> str:
    return sha256("\n".join(each.inference_id for each in batch).encode()).hex()[:_DIGEST_LENGTH]
