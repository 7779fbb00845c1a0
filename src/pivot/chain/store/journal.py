"""The journal: what modules read and write while a block is being made.

A journal lies over committed rows that never change under it. Changes live in a stack of frames, one dictionary per
frame and store name; a frame that fails takes its changes with it, one that ends well hands them to the frame below.
Nothing here is durable: the store takes the net changes of the bottom frame when the block is done.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from heapq import merge
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
    """One frame's changes to one store: the dictionary, and its keys in order once somebody iterates."""

    __slots__ = ("_fresh", "_sorted", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self._sorted: list[bytes] = []  # never changed in place: iterations under way hold it
        self._fresh: list[bytes] = []  # keys that are not yet among the sorted ones

    def put(self, key: bytes, value: bytes | None) -> None:
        if key not in self.rows:
            self._fresh.append(key)
        self.rows[key] = value

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
        self._stores = frozenset(stores)
        self._frames: list[dict[str, _Overlay]] = [{}]

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value of a key with the journal's changes, or None if there is none."""
        value = self._journalled(store, key)
        if value is not _ABSENT:
            return value
        self._check_store(store)
        return self._committed.get(store, key)

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` (inclusive) to `end` (exclusive; None: the last), sorted by key.

        The caller may change the state meanwhile. The keys are those that were there when this was called; each
        comes with its value at the moment it is reached, and not at all if it is deleted by then.
        """
        self._check_store(store)
        journalled = []
        for frame in self._frames:
            overlay = frame.get(store)
            if overlay is not None:
                journalled.append(_between(overlay.keys(), start, end, reverse=reverse))
        committed = self._committed.iterate(store, start, end, reverse=reverse)
        return self._merged(store, merge(*journalled, reverse=reverse), committed, reverse=reverse)

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
        """Changes made inside vanish if the body raises; otherwise they join those of the frame below."""
        frame: dict[str, _Overlay] = {}
        self._frames.append(frame)
        depth = len(self._frames)
        try:
            yield
        except BaseException:
            del self._frames[depth - 1 :]
            raise
        if len(self._frames) != depth:
            raise StoreError("A frame of the journal ended before a frame that was opened inside it.")
        self._frames.pop()
        for store, overlay in frame.items():
            for key, value in overlay.rows.items():
                self._put(store, key, value)

    def changes(self) -> dict[str, dict[bytes, bytes | None]]:
        """Net changes of the bottom frame by store; None: deleted."""
        return {store: dict(overlay.rows) for store, overlay in self._frames[0].items()}

    def _put(self, store: str, key: bytes, value: bytes | None) -> None:
        overlay = self._frames[-1].get(store)
        if overlay is None:
            self._check_store(store)
            overlay = self._frames[-1][store] = _Overlay()
        overlay.put(key, value)

    def _check_store(self, store: str) -> None:
        if store not in self._stores:
            raise UnknownStore(store)

    def _journalled(self, store: str, key: bytes) -> bytes | _Absent | None:
        for frame in reversed(self._frames):
            overlay = frame.get(store)
            if overlay is not None:
                value = overlay.rows.get(key, _ABSENT)
                if value is not _ABSENT:
                    return value
        return _ABSENT

    def _merged(
        self, store: str, journalled: Iterator[bytes], committed: Iterator[tuple[bytes, bytes]], *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        journalled_key = next(journalled, None)
        for key, committed_value in committed:
            while journalled_key is not None and (journalled_key > key if reverse else journalled_key < key):
                yield from self._row(store, journalled_key, None)
                journalled_key = _next_other(journalled, journalled_key)
            if journalled_key == key:
                journalled_key = _next_other(journalled, key)
            yield from self._row(store, key, committed_value)
        while journalled_key is not None:
            yield from self._row(store, journalled_key, None)
            journalled_key = _next_other(journalled, journalled_key)

    def _row(self, store: str, key: bytes, committed: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
        """The row as it is now, if there is one."""
        journalled = self._journalled(store, key)
        value = committed if journalled is _ABSENT else journalled
        return () if value is None else ((key, value),)


def _between(keys: Sequence[bytes], start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[bytes]:
    first = bisect_left(keys, start)
    last = len(keys) if end is None else bisect_left(keys, end)
    positions = range(last - 1, first - 1, -1) if reverse else range(first, last)
    return (keys[position] for position in positions)


def _next_other(keys: Iterator[bytes], key: bytes) -> bytes | None:
    """The next key that differs: several frames may hold the same one."""
    return next((other for other in keys if other != key), None)
