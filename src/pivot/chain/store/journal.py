"""The journal: what modules read and write while a block is being made.

A journal lies over committed rows that never change under it. Changes live in one dictionary per store; inside a frame
every one leaves behind what was there before, and a frame that fails puts that back. So to read, to write and to end a
frame well costs the same however deep frames lie in each other. Nothing here is durable: the store takes the net changes
when the block is done.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Final, Protocol

from pivot.chain.store.encoding import check_key, check_value
from pivot.chain.store.errors import StoreError, UnknownStore

FEW_NEW_KEYS = 32  # up to this share (1 in 32) new keys are inserted one by one into the sorted ones


class Reader(Protocol):
    """Rows of named stores."""

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value of a key, or None if there is none."""

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` (inclusive) to `end` (exclusive; None: the last), sorted by key."""


class _Absent(Enum):
    """Tells "not in the journal" from "deleted" (None)."""

    ABSENT = 0


_ABSENT: Final = _Absent.ABSENT


class _Overlay:
    """The changes to one store: the dictionary, and its keys in order once somebody iterates.

    Among the keys in order may be some that a failed frame has taken back, and a key may stand there twice.
    """

    __slots__ = ("_fresh", "_sorted", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self._sorted: list[bytes] = []  # never changed in place: iterations under way hold it
        self._fresh: list[bytes] = []  # keys that are not yet among the sorted ones

    def put(self, key: bytes, value: bytes | None) -> None:
        if key not in self.rows:
            self._fresh.append(key)
        self.rows[key] = value

    def put_back(self, key: bytes, before: bytes | _Absent | None) -> None:
        """Let the row be what it was before the last change that has not been put back yet."""
        if before is _ABSENT:
            del self.rows[key]
            if self._fresh and self._fresh[-1] == key:
                self._fresh.pop()
        else:
            self.rows[key] = before

    def keys(self) -> Sequence[bytes]:
        """All keys of this overlay in order, as they are now."""
        if self._fresh:
            keys = self._sorted.copy()
            if len(self._fresh) * FEW_NEW_KEYS <= len(keys):
                for key in self._fresh:
                    insort(keys, key)
            else:
                keys += self._fresh
                keys.sort()
            self._sorted, self._fresh = keys, []
        return self._sorted


class State:
    """A journal over committed rows; a `Reader` that sees its own changes."""

    def __init__(self, committed: Reader, stores: Sequence[str]) -> None:
        self._committed = committed
        self._overlays = {store: _Overlay() for store in stores}
        self._depth = 0  # frames under way
        self._before: list[
            tuple[_Overlay, bytes, bytes | _Absent | None]
        ] = []  # what each change in a frame has replaced

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value of a key with the journal's changes, or None if there is none."""
        value = self._overlay(store).rows.get(key, _ABSENT)
        return self._committed.get(store, key) if value is _ABSENT else value

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` (inclusive) to `end` (exclusive; None: the last), sorted by key.

        The caller may change the state meanwhile. The keys are those that were there when this was called; each
        comes with its value at the moment it is reached, and not at all if it is deleted by then.
        """
        overlay = self._overlay(store)
        journalled = _between(overlay.keys(), start, end, reverse=reverse)
        committed = self._committed.iterate(store, start, end, reverse=reverse)
        return _merged(overlay.rows, journalled, committed, reverse=reverse)

    def set(self, store: str, key: bytes, value: bytes) -> None:
        """Write a row. Raises RefusedEntry for an empty key or value or a key over 400 bytes, UnknownStore."""
        check_key(key)
        check_value(key, value)
        self._put(store, key, value)

    def delete(self, store: str, key: bytes) -> None:
        """Delete a row; one that does not exist may be deleted. Raises as `set` does."""
        check_key(key)
        self._put(store, key, None)

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Changes made inside vanish if the body raises; otherwise they join those of the frame around it."""
        self._depth += 1
        depth, changes = self._depth, len(self._before)
        try:
            yield
        except BaseException:
            self._depth = depth - 1
            while len(self._before) > changes:
                overlay, key, before = self._before.pop()
                overlay.put_back(key, before)
            raise
        if self._depth != depth:
            raise StoreError("A frame of the journal ended before a frame that was opened inside it.")
        self._depth -= 1
        if not self._depth:
            self._before.clear()

    def changes(self) -> dict[str, dict[bytes, bytes | None]]:
        """Net changes by store; None: deleted."""
        return {store: dict(overlay.rows) for store, overlay in self._overlays.items() if overlay.rows}

    def _put(self, store: str, key: bytes, value: bytes | None) -> None:
        overlay = self._overlay(store)
        if self._depth:
            self._before.append((overlay, key, overlay.rows.get(key, _ABSENT)))
        overlay.put(key, value)

    def _overlay(self, store: str) -> _Overlay:
        try:
            return self._overlays[store]
        except KeyError:
            raise UnknownStore(store) from None


def _merged(
    rows: Mapping[bytes, bytes | None],
    journalled: Iterator[bytes],
    committed: Iterator[tuple[bytes, bytes]],
    *,
    reverse: bool,
) -> Iterator[tuple[bytes, bytes]]:
    journalled_key = next(journalled, None)
    for key, committed_value in committed:
        while journalled_key is not None and (journalled_key > key if reverse else journalled_key < key):
            yield from _row(rows, journalled_key, None)
            journalled_key = _next_other(journalled, journalled_key)
        if journalled_key == key:
            journalled_key = _next_other(journalled, key)
        yield from _row(rows, key, committed_value)
    while journalled_key is not None:
        yield from _row(rows, journalled_key, None)
        journalled_key = _next_other(journalled, journalled_key)


def _row(rows: Mapping[bytes, bytes | None], key: bytes, committed: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    """The row as it is now, if there is one."""
    value = rows.get(key, committed)
    return () if value is None else ((key, value),)


def _between(keys: Sequence[bytes], start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[bytes]:
    first = bisect_left(keys, start)
    last = len(keys) if end is None else bisect_left(keys, end)
    positions = range(last - 1, first - 1, -1) if reverse else range(first, last)
    return (keys[position] for position in positions)


def _next_other(keys: Iterator[bytes], key: bytes) -> bytes | None:
    """The next key that differs."""
    return next((other for other in keys if other != key), None)
