"""Which developers' signatures have served here already.

The decision is one look into memory, without a pause in which a second request could slip through; the record goes to disk
before the first byte of the answer, so it also holds after a restart (weakness A-31).
"""

import asyncio
from enum import IntEnum
from itertools import takewhile
from typing import cast

from sqlalchemy import Table, delete, select

from pivot.api.database import Database
from pivot.api.http.errors import SignatureReused
from pivot.api.inference.tables import UsedSignature


class Role(IntEnum):
    """In which role a host uses a developer's signature; once in each."""

    TRANSFER = 1
    EXECUTOR = 2


class UsedSignatures:
    """The signatures whose time stamps could still be valid."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[Role, dict[bytes, int]] = {role: {} for role in Role}
        """With their time stamps, in the order of their use."""

    async def load(self) -> None:
        """Read what was used before this process began."""
        async with self._database.session() as session:
            for row in await session.scalars(select(UsedSignature).order_by(UsedSignature.timestamp_ns)):
                self._used[Role(row.role)][row.signature] = row.timestamp_ns

    def use(self, signature: bytes, role: Role, timestamp_ns: int) -> asyncio.Future[None]:
        """Mark a signature as used. Raises SignatureReused. The future is done when the mark is on disk."""
        self.require_unused(signature, role)
        self._used[role][signature] = timestamp_ns
        row = {"signature": signature, "role": int(role), "timestamp_ns": timestamp_ns}
        return self._database.writer.add(cast(Table, UsedSignature.__table__), row)

    def require_unused(self, signature: bytes, role: Role) -> None:
        """Raises SignatureReused."""
        if signature in self._used[role]:
            raise SignatureReused(f"AuthKey has already been used for {_ROLE_NAMES[role]} request")

    async def forget_before(self, timestamp_ns: int) -> None:
        """Drop signatures whose time stamps can no longer be valid; of those in memory, the ones used before all others."""
        for used in self._used.values():
            for signature, _ in list(takewhile(lambda use: use[1] < timestamp_ns, used.items())):
                del used[signature]
        async with self._database.session() as session:
            await session.execute(delete(UsedSignature).where(UsedSignature.timestamp_ns < timestamp_ns))


_ROLE_NAMES = {Role.TRANSFER: "a transfer", Role.EXECUTOR: "an executor"}
