"""The outbox on disk: what is read of it and what becomes of its entries."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import BindParameter, Executable, RowMapping, Table, bindparam, case, delete, func, select, update

from pivot.api.database import Database
from pivot.api.ledger.interface import EXPIRED, Outcome
from pivot.api.ledger.parcels import MAX_ITEMS, Entry
from pivot.api.ledger.rpc import Verdict
from pivot.api.ledger.tables import Kind, OutboxRow, State

ENTRIES = cast("Table", OutboxRow.__table__)
MAX_LOG_CHARACTERS = 1_000
SETTLED = (State.DONE, State.REFUSED, State.EXPIRED)

_ENTRY = (
    OutboxRow.key,
    OutboxRow.sequence,
    OutboxRow.kind,
    OutboxRow.message,
    OutboxRow.attempts,
    OutboxRow.batch_limit,
    OutboxRow.code,
)


def new_row(key: str, sequence: int, kind: Kind, message: bytes, deadline_height: int) -> dict[str, Any]:
    """The row of an entry that waits to be sent."""
    return {
        "key": key,
        "sequence": sequence,
        "kind": kind,
        "message": message,
        "deadline_height": deadline_height,
        "state": int(State.QUEUED),
        "attempts": 0,
        "not_before": 0,
        "batch_limit": MAX_ITEMS,
        "transaction": "",
        "timeout_ns": 0,
        "code": 0,
        "log": "",
        "height": 0,
        "settled_ns": 0,
    }


class Entries:
    """The outbox's table. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_marks(self) -> tuple[int, int]:
        """The highest sequence and the highest time-out (block time, ns) ever given."""
        statement = select(func.max(OutboxRow.sequence), func.max(OutboxRow.timeout_ns))
        async with self._database.session() as session:
            sequence, timeout_ns = (await session.execute(statement)).one()
        return sequence or 0, timeout_ns or 0

    async def outcome(self, key: str) -> Outcome | None:
        """What is known of an entry; None for an unknown key."""
        columns = (OutboxRow.state, OutboxRow.code, OutboxRow.log, OutboxRow.height)
        async with self._database.session() as session:
            row = (await session.execute(select(*columns).where(OutboxRow.key == key))).one_or_none()
        if row is None:
            return None
        return Outcome(key, row.state in SETTLED, row.code, row.log, row.height)

    async def unsettled(self) -> tuple[int, int]:
        """How many entries wait or are under way, and the lowest sequence among them (0: there are none)."""
        statement = select(func.count(), func.min(OutboxRow.sequence)).where(
            OutboxRow.state.in_((State.QUEUED, State.SENT))
        )
        async with self._database.session() as session:
            count, first = (await session.execute(statement)).one()
        return count, first or 0

    async def tally(self, prefix: str) -> tuple[int, int]:
        """How many entries that travel alone have keys that begin so, and how many of them the chain has."""
        done = case((OutboxRow.state == State.DONE, 1), else_=0)
        statement = select(func.count(), func.sum(done)).where(
            OutboxRow.state.in_(State), OutboxRow.kind == Kind.ALONE, OutboxRow.key.startswith(prefix, autoescape=True)
        )
        async with self._database.session() as session:
            due, accepted = (await session.execute(statement)).one()
        return due, int(accepted or 0)

    async def waiting(self, *, batched: bool, height: int, limit: int) -> list[Entry]:
        """Entries that may be sent now, in order of arrival."""
        kind = OutboxRow.kind != Kind.ALONE if batched else OutboxRow.kind == Kind.ALONE
        statement = (
            select(*_ENTRY)
            .where(OutboxRow.state == State.QUEUED, kind, OutboxRow.not_before <= height)
            .order_by(OutboxRow.sequence)
            .limit(limit)
        )
        return [_entry(row) for row in await self._rows(statement)]

    async def under_way(self) -> dict[tuple[str, int], list[Entry]]:
        """Entries by the transaction that carries them: its hash and its time-out."""
        statement = (
            select(*_ENTRY, OutboxRow.transaction, OutboxRow.timeout_ns)
            .where(OutboxRow.state == State.SENT)
            .order_by(OutboxRow.sequence)
        )
        found: dict[tuple[str, int], list[Entry]] = {}
        for row in await self._rows(statement):
            found.setdefault((row["transaction"], row["timeout_ns"]), []).append(_entry(row))
        return found

    async def mark_sent(self, entries: Sequence[Entry], transaction: str, timeout_ns: int) -> None:
        """They travel in this transaction from now on, also if this process ends now."""
        values = {"state": State.SENT, "transaction": transaction, "timeout_ns": timeout_ns}
        await self._change([{"of": entry.key, **values} for entry in entries])

    async def put_back(
        self, entries: Sequence[Entry], *, refusal: Verdict | None, not_before: int, batch_limit: int | None = None
    ) -> None:
        """They are to be sent again: after a refusal that may pass (it counts), or in smaller batches."""
        changes = []
        for entry in entries:
            change: dict[str, Any] = {
                "of": entry.key,
                "state": State.QUEUED,
                "not_before": not_before,
                "attempts": entry.attempts + (refusal is not None),
                "batch_limit": batch_limit or entry.batch_limit,
                "code": refusal.code if refusal else entry.code,
                "log": _kept(refusal.log) if refusal else "",
            }
            changes.append(change)
        await self._change(changes)

    async def settle(
        self, verdicts: Iterable[tuple[str, State, Verdict]], *, height: int, time_ns: int
    ) -> list[Outcome]:
        """Nothing more will happen to these. `height`: the block that has them, 0 for none; `time_ns`: block time now."""
        changes: list[dict[str, Any]] = [
            {
                "of": key,
                "state": state,
                "code": verdict.code,
                "log": _kept(verdict.log),
                "height": height,
                "settled_ns": time_ns,
                "message": b"",
            }
            for key, state, verdict in verdicts
        ]
        await self._change(changes)
        return [Outcome(each["of"], True, each["code"], each["log"], height) for each in changes]

    async def expire(self, height: int, time_ns: int) -> list[Outcome]:
        """Settle what waits and whose deadline has passed before block `height`."""
        late = (
            OutboxRow.state == State.QUEUED,
            OutboxRow.deadline_height > 0,
            OutboxRow.deadline_height < height,
        )
        async with self._database.session() as session:
            found = (await session.execute(select(OutboxRow.key, OutboxRow.deadline_height).where(*late))).all()
        if not found:
            return []
        verdicts = [
            (
                row.key,
                State.EXPIRED,
                Verdict(EXPIRED, log=f"height {row.deadline_height} passed before the chain had it"),
            )
            for row in found
        ]
        return await self.settle(verdicts, height=0, time_ns=time_ns)

    async def prune(self, *, items_before_ns: int, others_before_ns: int) -> None:
        """Forget what was settled long ago."""
        settled = OutboxRow.settled_ns
        async with self._database.session() as session:
            await session.execute(
                delete(OutboxRow).where(settled > 0, settled < items_before_ns, OutboxRow.kind != Kind.ALONE)
            )
            await session.execute(delete(OutboxRow).where(settled > 0, settled < others_before_ns))

    async def _rows(self, statement: Executable) -> Sequence[RowMapping]:
        async with self._database.session() as session:
            rows: Sequence[RowMapping] = (await session.execute(statement)).mappings().all()
            return rows

    async def _change(self, changes: list[dict[str, Any]]) -> None:
        """Set columns of rows by key (`of`); all changes name the same columns."""
        if not changes:
            return
        columns: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in changes[0] if name != "of"}
        statement = update(ENTRIES).where(ENTRIES.c.key == bindparam("of")).values(columns)
        async with self._database.engine.begin() as connection:
            await connection.execute(statement, changes)


def _kept(log: str) -> str:
    """What is kept of the chain's sentence. PostgreSQL's texts cannot hold the character 0."""
    return log.replace("\0", "")[:MAX_LOG_CHARACTERS]


def _entry(row: RowMapping) -> Entry:
    return Entry(
        key=row["key"],
        sequence=row["sequence"],
        kind=Kind(row["kind"]),
        message=row["message"],
        attempts=row["attempts"],
        batch_limit=row["batch_limit"],
        code=row["code"],
    )
