"""Pages of rows: every row on one page, and none read in vain."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest, PageResponse

from pivot.chain.errors import SdkError
from pivot.chain.pagination import MAX_LIMIT, list_page
from pivot.chain.store.journal import State
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES
from pivot.primitives.numbers import MAX_UINT64

ROWS = 7


@pytest.fixture
def state() -> State:
    found = MemoryDatabase(STORES).begin()
    for number in range(ROWS):
        found.set("bank", b"list/%d" % number, b"%d" % number)
    found.set("bank", b"lis", b"before")
    found.set("bank", b"list0", b"behind")
    return found


def page(state: State, **request: object) -> tuple[list[int], PageResponse]:
    return list_page(state, "bank", b"list/", PageRequest(**request), lambda _, value: int(value))


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_follow_one_another_and_hold_every_row_once(state: State, reverse: bool) -> None:
    seen: list[int] = []
    key = b""
    for _ in range(4):
        found, answer = page(state, limit=2, key=key, reverse=reverse)
        seen += found
        key = answer.next_key
    assert key == b""
    assert seen == (list(range(ROWS))[::-1] if reverse else list(range(ROWS)))


def test_a_page_after_an_offset(state: State) -> None:
    assert page(state, offset=5, limit=1)[0] == [5]
    assert page(state, offset=ROWS)[0] == []
    assert page(state, offset=MAX_UINT64)[0] == []


def test_the_total_is_told_when_it_is_asked_for_or_no_limit_is_given(state: State) -> None:
    assert page(state, limit=2, count_total=True)[1].total == ROWS
    assert page(state)[1].total == ROWS
    assert page(state, limit=2)[1].total == 0
    assert page(state, key=b"3")[1].total == 0


def test_a_key_and_an_offset_together_are_refused(state: State) -> None:
    with pytest.raises(SdkError, match="either offset or key"):
        page(state, key=b"1", offset=1)


def test_a_limit_beyond_the_highest_is_lowered(state: State) -> None:
    for number in range(MAX_LIMIT):
        state.set("bank", b"list/x%04d" % number, b"%d" % number)
    found, answer = page(state, limit=MAX_UINT64)
    assert len(found) == MAX_LIMIT
    assert answer.next_key


def test_rows_of_other_pages_are_counted_without_being_read(state: State) -> None:
    """A list may be long and its entries dear: to count them is not to make them."""
    made: list[bytes] = []

    def item(key: bytes, _: bytes) -> bytes:
        made.append(key)
        return key

    request = PageRequest(offset=2, limit=2, count_total=True)
    found, answer = list_page(state, "bank", b"list/", request, item)
    assert found == made == [b"2", b"3"]
    assert answer.total == ROWS


def test_what_is_not_shown_takes_no_place_on_a_page(state: State) -> None:
    def odd(_: bytes, value: bytes) -> int | None:
        return int(value) if int(value) % 2 else None

    found, answer = list_page(state, "bank", b"list/", PageRequest(limit=2), odd)
    assert (found, answer.next_key) == ([1, 3], b"4")


def test_a_key_of_any_length_is_answered(state: State) -> None:
    assert page(state, key=b"\xff" * 100_000)[0] == []
    assert page(state, key=b"\xff" * 100_000, reverse=True)[0] == list(range(ROWS))[::-1]
