"""Which developers' signatures have served here already.

The decision is one look into memory, without a pause in which a second request could slip through; the record goes to disk
before the first byte of the answer, so it also holds after a restart (weakness A-31).
"""

import asyncio
from enum import IntEnum
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
        self._used: dict[tuple[bytes, Role], int] = {}

    async def load(self) -> None:
        """Read what was used before this process began."""
        async with self._database.session() as session:
            for row in await session.scalars(select(UsedSignature)):
                self._used[row.signature, Role(row.role)] = row.timestamp_ns

    def use(self, signature: bytes, role: Role, timestamp_ns: int) -> asyncio.Future[None]:
        """Mark a signature as used. Raises SignatureReused. The future is done when the mark is on disk."""
        self.require_unused(signature, role)
        self._used[signature, role] = timestamp_ns
        row = {"signature": signature, "role": int(role), "timestamp_ns": timestamp_ns}
        return self._database.writer.add(cast(Table, UsedSignature.__table__), row)

    def require_unused(self, signature: bytes, role: Role) -> None:
        """Raises SignatureReused."""
        if (signature, role) in self._used:
            raise SignatureReused(f"AuthKey has already been used for {_ROLE_NAMES[role]} request")

    async def forget_before(self, timestamp_ns: int) -> None:
        """Drop signatures whose time stamps can no longer be valid."""
        self._used = {key: stamp for key, stamp in self._used.items() if stamp >= timestamp_ns}
        async with self._database.session() as session:
            await session.execute(delete(UsedSignature).where(UsedSignature.timestamp_ns < timestamp_ns))


_ROLE_NAMES = {Role.TRANSFER: "a transfer", Role.EXECUTOR: "an executor"}
