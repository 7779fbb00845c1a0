"""The host as checker of answers: from the end of a segment to the report, from an open dispute to the vote.

At every block what is over is drawn and queued, and what was found is told to the chain. Beside that some checks at a time are
taken from the queue; nothing is lost by a restart, since queue and verdicts are in the database.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import aiohttp

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.epochs.served import ServedEpochs
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.records import sprint_record
from pivot.api.rewards.membership import is_member
from pivot.api.rewards.revealer import last_reveal
from pivot.api.settings import ApiSettings
from pivot.api.validation.artifacts_client import ArtifactsClient
from pivot.api.validation.artifacts_service import ArtifactsService
from pivot.api.validation.checks import Checks, Wanted
from pivot.api.validation.disputes import votes_wanted
from pivot.api.validation.duties import duties_in, segments_over
from pivot.api.validation.examiner import Examiner, Lender, NotYet
from pivot.api.validation.reports import Reports
from pivot.api.validation.rights import element_of
from pivot.api.validation.tables import Check, Kind
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.query_pb2 import QueryCheckerDutiesRequest, QueryCheckerDutiesResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries

CHECKER_DUTIES_PATH = "/inference.inference.Query/CheckerDuties"
AT_ONCE = {Kind.DUTY: 4, Kind.VOTE: 2}
"""Checks under way of each kind. A host may hand out its artifacts as slowly as it can: disputes on them hold up no duty."""
IDLE_S = 1.0
"""How often the queue is looked at for a check whose pause is over."""
PATIENCE_SEGMENTS = 2
"""An artifact that is not handed out for so many segments' time is withheld."""
LEAST_ATTEMPTS = 4
"""So often a duty's artifact is asked for before it is withheld: its host may be busy, and this one may come late to it.

A vote has less time, and a second host that has the artifact.
"""
URGENT_SHARE = 4
"""In the last so manieth part of its time a check may take a node from customers; votes, which are few, always."""
DISPUTE_LOOKS = 20
"""So often open disputes are looked for while one lasts."""
MS_PER_S = 1_000

log = logging.getLogger(__name__)


class AnswerChecking:
    """All that has to do with checks of answers. `artifacts.endpoint` belongs on the public port."""

    def __init__(
        self,
        database: Database,
        settings: ApiSettings,
        identity: Identity,
        chain: Chain,
        outbox: Outbox,
        lender: Lender,
        phases: Phases,
        http: aiohttp.ClientSession,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._identity = identity
        self._chain = chain
        self._lender = lender
        self._phases = phases
        self._http = http
        self._now_s = now_s
        self._checks = Checks(database)
        self._epochs = ServedEpochs(database, chain)
        self._reports = Reports(identity.address, chain, outbox, self._checks)
        self._client: ArtifactsClient | None = None
        self._taking: asyncio.Task[None] | None = None
        self._busy: dict[tuple[str, int], asyncio.Task[None]] = {}
        """Checks under way, by inference and kind."""
        self._more = asyncio.Event()
        self._looked_at = 0
        """Height at which open disputes were looked for."""
        self._known_disputes: set[str] = set()
        self._drawn: dict[int, set[int]] = {}
        """Segments by epoch whose duties are known to be in the queue."""
        self._tidied = 0
        """Epoch as of whose begin what is old is forgotten."""
        self._steps = EachMoment("answers", phases, self._step)
        self.artifacts = ArtifactsService(database, identity, chain, phases, self._epochs)

    async def start(self) -> None:
        allow_private = self._settings.api.allow_private_urls
        self._client = ArtifactsClient(self._identity, self._chain, allow_private=allow_private)
        examiner = Examiner(self._database, self._chain, self._client, self._lender, self._http)
        self._taking = asyncio.create_task(self._take_checks(examiner), name="answer-checks")
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()
        tasks = [*self._busy.values(), *([self._taking] if self._taking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client:
            await self._client.close()

    async def missing(self, epoch: int) -> int:
        """Duties of an epoch that this host still has to do before it claims, as far as can be told. Raises LedgerError.

        Segments whose draw is still to come count as one each.
        """
        record = await sprint_record(self._database, epoch)
        if record is None or record.commit is None:
            return 0
        undrawn = SEGMENTS - len(await self._checks.drawn_segments(epoch))
        unfinished = await self._checks.unfinished(epoch)
        if undrawn or unfinished:
            return undrawn + unfinished
        request = QueryCheckerDutiesRequest(epoch_index=epoch, participant=self._identity.address)
        duties = (await self._chain.query(CHECKER_DUTIES_PATH, request, QueryCheckerDutiesResponse)).duties
        if duties.due > duties.done:
            await self._reports.settle_with_chain(epoch)
        return int(duties.due - duties.done)

    async def _step(self, moment: Moment) -> None:
        current = moment.effective
        if current.index == 0:
            return
        await self._epochs.note(current)
        served = [await self._epochs.get(index, moment) for index in (current.index - 1, current.index) if index > 0]
        for epoch in served:
            await self._draw(epoch, moment)
        await self._look_for_disputes(moment)
        marks_of: dict[int, EpochBoundaries] = {epoch.index: epoch.boundaries for epoch in served}
        await self._reports.step(moment, marks_of)
        if current.index > self._tidied:
            await self._checks.forget_before(current.index - 1)
            self._known_disputes.clear()
            self._drawn = {epoch: known for epoch, known in self._drawn.items() if epoch >= current.index - 1}
            self._tidied = current.index

    async def _draw(self, epoch: Epoch, moment: Moment) -> None:
        """Queue the duties of every segment that is over and whose element the chain has."""
        over = segments_over(epoch.boundaries, moment.head.height, in_force=epoch.index == moment.effective.index)
        known = self._drawn.get(epoch.index)
        if known is None:
            known = self._drawn[epoch.index] = set(await self._checks.drawn_segments(epoch.index))
        for segment in sorted(set(range(over)) - known):
            if not await is_member(self._chain, epoch.index, self._identity.address):
                return
            element = await element_of(self._chain, epoch.index, segment, self._identity.address)
            if element is None:
                return
            params, address = epoch.params.validation_params, self._identity.address
            duties = await duties_in(self._chain, params, epoch.index, segment, element, address)
            height, marks = moment.head.height, epoch.boundaries
            patience = PATIENCE_SEGMENTS * (marks.next_poc_start - marks.poc_start) // SEGMENTS
            wanted = [
                Wanted(each.inference_id, epoch.index, segment, each.model, height + patience, last_reveal(marks))
                for each in duties
            ]
            await self._checks.add(Kind.DUTY, wanted, drawn=(epoch.index, segment))
            known.add(segment)
            self._more.set()

    async def _look_for_disputes(self, moment: Moment) -> None:
        duration = moment.effective.params.validation_params.dispute_duration
        height = moment.head.height
        if height < self._looked_at + max(1, duration // DISPUTE_LOOKS):
            return
        wanted = await votes_wanted(self._chain, self._identity.address, height, self._known_disputes)
        self._looked_at = height
        if wanted:
            await self._checks.add(Kind.VOTE, wanted)
            self._known_disputes |= {each.inference_id for each in wanted}
            self._more.set()

    async def _take_checks(self, examiner: Examiner) -> None:
        """Take checks from the queue as they come due, some at a time."""
        while True:
            self._more.clear()
            try:
                await self._begin_due(examiner)
            except Exception:  # a database that fails once must not end the checks for good
                log.exception("checks cannot be taken from the queue")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._more.wait()

    async def _begin_due(self, examiner: Examiner) -> None:
        moment = self._phases.moment
        if moment is None or not moment.synced:
            return
        for kind, most in AT_ONCE.items():
            free = most - sum(busy == kind for _, busy in self._busy)
            before = set(self._busy)  # one that ends while the queue is read may be told as waiting all the same
            for check in await self._checks.due(kind, self._now_ms(), most) if free else ():
                name = check.inference_id, check.kind
                if free and name not in before | self._busy.keys():
                    self._busy[name] = asyncio.create_task(self._do_safely(examiner, check))
                    free -= 1

    async def _do_safely(self, examiner: Examiner, check: Check) -> None:
        try:
            await self._do(examiner, check)
        except Exception:  # a check's fault must not end the others
            log.exception("the check of %s failed", check.inference_id)
            await self._checks.later(check, self._now_ms(), "a fault of this node; its log says which")
        finally:
            del self._busy[check.inference_id, check.kind]
            self._more.set()

    async def _do(self, examiner: Examiner, check: Check) -> None:
        moment = self._phases.moment
        height = 0 if moment is None else moment.head.height
        if height > check.deadline_height:
            await self._checks.drop(check, check.reason or "its time is over")
            return
        time_given = (check.deadline_height - check.patience_height) // URGENT_SHARE
        is_vote = check.kind == Kind.VOTE
        urgent = is_vote or height >= check.deadline_height - time_given
        asked_enough = is_vote or check.attempts + 1 >= LEAST_ATTEMPTS
        try:
            found = await examiner.examine(
                check,
                urgent=urgent,
                patience_over=asked_enough and height >= check.patience_height,
            )
        except (NotYet, LedgerError) as error:
            await self._checks.later(check, self._now_ms(), str(error))
            return
        if found is None:
            await self._checks.drop(check, "the chain knows the answer no more")
        else:
            await self._checks.settle(check, found)
            self._reports.wake()

    def _now_ms(self) -> int:
        return int(self._now_s() * MS_PER_S)
