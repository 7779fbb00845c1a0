"""The queue of checks in the database: what is to be done, when it is tried again, and what was found."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from pivot.api.database import Database
from pivot.api.validation.tables import LONGEST_REASON, Check, DrawnSegment, Kind, State
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict

FIRST_RETRY_MS = 250
LONGEST_RETRY_MS = 60_000
MAX_DOUBLINGS = 10


@dataclass(frozen=True)
class Verdict:
    """What a check has found."""

    verdict: AnswerVerdict
    value_e6: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Wanted:
    """An answer to be checked."""

    inference_id: str
    epoch: int
    segment: int
    model: str
    patience_height: int
    deadline_height: int
    accuser: str = ""


class Checks:
    """The queue. Every change is on disk when a method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, kind: Kind, wanted: Iterable[Wanted], *, drawn: tuple[int, int] | None = None) -> None:
        """Queue checks; those that are known stay as they are. drawn: the epoch and segment of which these are all duties."""
        async with self._database.session() as session:
            for each in wanted:
                if await session.get(Check, (each.inference_id, kind)) is None:
                    session.add(
                        Check(
                            inference_id=each.inference_id,
                            kind=kind,
                            epoch=each.epoch,
                            segment=each.segment,
                            model=each.model,
                            accuser=each.accuser,
                            state=State.QUEUED,
                            attempts=0,
                            not_before_ms=0,
                            patience_height=each.patience_height,
                            deadline_height=each.deadline_height,
                            verdict=AnswerVerdict.ANSWER_UNSPECIFIED,
                            value_e6=0,
                            reason="",
                            sent_key="",
                        )
                    )
            if drawn is not None:
                session.add(DrawnSegment(epoch=drawn[0], segment=drawn[1]))

    async def drawn_segments(self, epoch: int) -> frozenset[int]:
        """Segments of an epoch whose duties are queued."""
        async with self._database.session() as session:
            found = await session.scalars(select(DrawnSegment.segment).where(DrawnSegment.epoch == epoch))
            return frozenset(found)

    async def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Check]:
        """Checks of a kind that may be tried now, by the time since which they wait."""
        waiting = (
            select(Check)
            .where(Check.kind == kind, Check.state == State.QUEUED, Check.not_before_ms <= now_ms)
            .order_by(Check.not_before_ms, Check.epoch, Check.segment)
            .limit(limit)
        )
        async with self._database.session() as session:
            return (await session.scalars(waiting)).all()

    async def settle(self, check: Check, found: Verdict) -> None:
        """The verdict on an answer stands."""
        await self._set(
            check,
            state=State.JUDGED,
            verdict=found.verdict,
            value_e6=found.value_e6,
            reason=_kept(found.reason),
        )

    async def later(self, check: Check, now_ms: int, reason: str) -> None:
        """Try again after a pause that grows with every attempt."""
        pause = min(FIRST_RETRY_MS << min(check.attempts, MAX_DOUBLINGS), LONGEST_RETRY_MS)
        await self._set(check, attempts=check.attempts + 1, not_before_ms=now_ms + pause, reason=_kept(reason))

    async def drop(self, check: Check, reason: str) -> None:
        """Nothing can come of this check any more."""
        await self._set(check, state=State.DROPPED, reason=_kept(reason))

    async def in_state(self, kind: Kind, state: State) -> Sequence[Check]:
        """All checks of a kind in one state, by epoch, segment and id."""
        statement = (
            select(Check)
            .where(Check.kind == kind, Check.state == state)
            .order_by(Check.epoch, Check.segment, Check.inference_id)
        )
        async with self._database.session() as session:
            return (await session.scalars(statement)).all()

    async def queued_in(self, epoch: int, segment: int) -> int:
        """Duties of a segment that have no verdict yet."""
        statement = select(func.count()).where(
            Check.kind == Kind.DUTY, Check.state == State.QUEUED, Check.epoch == epoch, Check.segment == segment
        )
        async with self._database.session() as session:
            return await session.scalar(statement) or 0

    async def mark(self, checks: Collection[Check], state: State, *, sent_key: str | None = None) -> None:
        """Move checks on together."""
        async with self._database.session() as session:
            for check in checks:
                values: dict[str, object] = {"state": state}
                if sent_key is not None:
                    values["sent_key"] = sent_key
                await session.execute(
                    update(Check)
                    .where(Check.inference_id == check.inference_id, Check.kind == check.kind)
                    .values(**values)
                )

    async def unfinished(self, epoch: int) -> int:
        """Duties of an epoch that the chain does not have."""
        statement = select(func.count()).where(
            Check.kind == Kind.DUTY, Check.epoch == epoch, Check.state.in_((State.QUEUED, State.JUDGED, State.SENT))
        )
        async with self._database.session() as session:
            return await session.scalar(statement) or 0

    async def forget_before(self, epoch: int) -> None:
        """Drop what belongs to epochs before `epoch`."""
        async with self._database.session() as session:
            await session.execute(delete(Check).where(Check.epoch < epoch))
            await session.execute(delete(DrawnSegment).where(DrawnSegment.epoch < epoch))

    async def _set(self, check: Check, **values: object) -> None:
        """Change a check that is still to be done; one that was read while another attempt ended may be further by now."""
        this = (Check.inference_id == check.inference_id, Check.kind == check.kind, Check.state == State.QUEUED)
        async with self._database.session() as session:
            await session.execute(update(Check).where(*this).values(**values))


def _kept(reason: str) -> str:
    """What is kept of a reason. It may quote another host, and PostgreSQL takes no text with a zero in it."""
    return reason.replace("\0", "\ufffd")[:LONGEST_REASON]
