"""Pages of rows, in the shape of `cosmos.base.query.v1beta1` that every client of a Cosmos chain knows.

A page begins at a key (the `next_key` of the page before) or after an offset, never both. Keys are relative to the prefix
that is listed, so a `next_key` says nothing of other rows.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest, PageResponse

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.types import Reader

DEFAULT_LIMIT = 100
"""Rows of a page when the request names no limit."""
MAX_LIMIT = 1_000
"""Rows of a page at most; a higher limit is lowered to it, and `next_key` tells that there is more."""

Item = TypeVar("Item")


def list_page(
    reader: Reader, store: str, prefix: bytes, page: PageRequest, item: Callable[[bytes, bytes], Item | None]
) -> tuple[list[Item], PageResponse]:
    """One page of the rows under `prefix`.

    `item(key, value)` makes an entry of a row (`key` without the prefix), or gives None for a row that is not shown.
    The total, of rows, is counted when it is asked for, and when no limit is given, as in the Cosmos SDK.
    Raises SdkError (INVALID_REQUEST) when both a key and an offset are given.
    """
    if page.key and page.offset:
        raise SdkError(SdkCode.INVALID_REQUEST, "invalid request, either offset or key is expected, got both")
    limit = min(page.limit or DEFAULT_LIMIT, MAX_LIMIT)
    counts = not page.key and (page.count_total or page.limit == 0)

    items: list[Item] = []
    next_key = b""
    seen = 0
    for key, value in _rows(reader, store, prefix, page):
        seen += 1
        if seen <= page.offset:
            continue
        if len(items) < limit:
            found = item(key, value)
            if found is not None:
                items.append(found)
            continue
        next_key = next_key or key
        if not counts:
            break
    return items, PageResponse(next_key=next_key, total=seen if counts else 0)


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key behind all keys that begin with `prefix`; None if no key can be behind them."""
    shortened = prefix.rstrip(b"\xff")
    return shortened[:-1] + bytes([shortened[-1] + 1]) if shortened else None


def _rows(reader: Reader, store: str, prefix: bytes, page: PageRequest) -> Iterator[tuple[bytes, bytes]]:
    """Rows from the page's key on, in its direction, without the prefix. In reverse the key is the last to come first."""
    start, end = prefix, prefix_end(prefix)
    if page.key and page.reverse:
        end = prefix + page.key + b"\x00"
    elif page.key:
        start = prefix + page.key
    for key, value in reader.iterate(store, start, end, reverse=page.reverse):
        yield key[len(prefix) :], value
