"""The keys themselves: issued, found by what a request brings, listed, revoked at once.

All are in memory, by their hashes; the database has what must outlive a restart.
"""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update

from pivot.api.database import Database
from pivot.api.http.errors import Conflict, NotFound, TooManyRequests, Unauthorized
from pivot.api.keys.rate import Rate
from pivot.api.keys.tables import ApiKey, KeyCharge
from pivot.primitives.hashes import sha256

PREFIX = "pk-"
_SECRET_BYTES = 32
_ID_BYTES = 6
MIN_SECRET_LENGTH = 24
"""Of a key that was made elsewhere; shorter ones could be guessed."""
MAX_SECRET_LENGTH = 200
MAX_KEYS = 100_000


@dataclass(frozen=True)
class Terms:
    """What a key allows. None: no limit."""

    name: str
    budget: int | None = None
    """ngonka."""
    rate: int | None = None
    """Requests a minute."""
    concurrency: int | None = None
    """Requests at a time."""
    expires_s: int | None = None
    """Seconds since 1970."""


@dataclass
class Usage:
    """What the chain has settled for a key."""

    spent: int = 0
    """ngonka."""
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, more: "Usage") -> None:
        """So much more; a part of it may be less than 0, where the chain has given back."""
        self.spent += more.spent
        self.requests += more.requests
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens

    def added(self) -> dict[str, ColumnElement[int]]:
        """Columns of a key's row with this added to them: by the database, so that nobody's addition is lost."""
        return {
            "spent": ApiKey.spent + self.spent,
            "requests": ApiKey.requests + self.requests,
            "prompt_tokens": ApiKey.prompt_tokens + self.prompt_tokens,
            "completion_tokens": ApiKey.completion_tokens + self.completion_tokens,
        }


class IssuedKey:
    """One key, and what is under way for it."""

    def __init__(self, row: ApiKey, monotonic_s: Callable[[], float]) -> None:
        self.id = row.id
        self.terms = Terms(row.name, row.budget, row.rate, row.concurrency, row.expires_s)
        self.created_s = row.created_s
        self.revoked_s = row.revoked_s
        self.used = Usage(row.spent, row.requests, row.prompt_tokens, row.completion_tokens)
        self.held = 0
        """ngonka set aside for answers that the chain has not settled yet."""
        self._under_way = 0
        self._monotonic_s = monotonic_s
        self._rate = None if row.rate is None else Rate(row.rate, monotonic_s())

    @property
    def left(self) -> int | None:
        """ngonka of the budget that are neither spent nor set aside; None without a budget."""
        return None if self.terms.budget is None else max(0, self.terms.budget - self.used.spent - self.held)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One request's place within rate and concurrency. Raises TooManyRequests, which says when to come again."""
        limit = self.terms.concurrency
        if limit is not None and self._under_way >= limit:
            raise TooManyRequests(f"this API key may have {limit} requests under way, and has")
        wait_s = self._rate.take(self._monotonic_s()) if self._rate else 0.0
        if wait_s > 0:
            raise TooManyRequests(
                f"this API key may send {self.terms.rate} requests a minute", retry_after_s=math.ceil(wait_s)
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


class IssuedKeys:
    """All keys of this host."""

    def __init__(
        self,
        database: Database,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._by_id: dict[str, IssuedKey] = {}
        self._by_digest: dict[bytes, IssuedKey] = {}

    async def load(self) -> None:
        """Read what was issued before this process began, and what of it is set aside."""
        async with self._database.session() as session:
            for row in await session.scalars(select(ApiKey).order_by(ApiKey.created_s, ApiKey.id)):
                self._add(row)
            sums = select(KeyCharge.key_id, func.sum(KeyCharge.escrow)).group_by(KeyCharge.key_id)
            for key_id, held in await session.execute(sums):
                self._by_id[key_id].held = int(held)

    async def issue(self, terms: Terms, secret: str = "") -> tuple[IssuedKey, str]:
        """A new key with its secret, which nobody can be told again. Raises Conflict for a secret that is known."""
        if len(self._by_id) >= MAX_KEYS:
            raise Conflict(f"this host has issued {MAX_KEYS} keys, and may have no more")
        secret = secret or PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        digest = sha256(secret.encode())
        if digest in self._by_digest:
            raise Conflict("this key is known already", param="key")
        row = ApiKey(
            id=f"key-{secrets.token_hex(_ID_BYTES)}",
            name=terms.name,
            digest=digest,
            budget=terms.budget,
            rate=terms.rate,
            concurrency=terms.concurrency,
            created_s=int(self._wall_s()),
            expires_s=terms.expires_s,
            revoked_s=None,
            spent=0,
            requests=0,
            prompt_tokens=0,
            completion_tokens=0,
        )
        async with self._database.session() as session:
            session.add(row)
        return self._add(row), secret

    async def revoke(self, key_id: str) -> IssuedKey:
        """Refuse a key from now on. Raises NotFound."""
        key = self._by_id.get(key_id)
        if key is None:
            raise NotFound(f"there is no API key {key_id!r}")
        if key.revoked_s is None:
            key.revoked_s = int(self._wall_s())  # before the database knows: nothing of it is taken from now on
        async with self._database.session() as session:  # each time, as it may have failed the last time
            await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(revoked_s=key.revoked_s))
        return key

    def find(self, secret: str) -> IssuedKey:
        """The key that a request brings. Raises Unauthorized."""
        key = self._by_digest.get(sha256(secret.encode()))
        if key is None:
            raise Unauthorized("this is not an API key of this node")
        if key.revoked_s is not None:
            raise Unauthorized("this API key has been revoked")
        if key.terms.expires_s is not None and key.terms.expires_s <= self._wall_s():
            raise Unauthorized("this API key has expired")
        return key

    def by_id(self, key_id: str) -> IssuedKey:
        """A key that was issued."""
        return self._by_id[key_id]

    def all(self) -> list[IssuedKey]:
        """Every key, also those that were revoked, the oldest first."""
        return list(self._by_id.values())

    def _add(self, row: ApiKey) -> IssuedKey:
        key = self._by_id[row.id] = self._by_digest[row.digest] = IssuedKey(row, self._monotonic_s)
        return key
