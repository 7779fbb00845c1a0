"""The journal against plain dictionaries."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.store.errors import RefusedEntry, StoreError, UnknownStore
from pivot.chain.store.journal import State
from pivot.chain.store.memory import MemoryView
from tests.chain.store.rows import keys, values

STORES = ("one", "two")
Step = tuple[Any, ...]

simple_steps = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(STORES), keys, values),
    st.tuples(st.just("delete"), st.sampled_from(STORES), keys),
    st.tuples(st.just("get"), st.sampled_from(STORES), keys),
    st.tuples(st.just("iterate"), st.sampled_from(STORES), st.just(b"") | keys, st.none() | keys, st.booleans()),
)
steps = st.recursive(
    st.lists(simple_steps, max_size=8),
    lambda inner: st.lists(simple_steps | st.tuples(st.just("frame"), st.booleans(), inner), max_size=6),
    max_leaves=8,
)
committed_rows = st.dictionaries(keys, values, max_size=12)


class Failed(Exception):
    """A frame that fails on purpose."""


class Model:
    """What the journal should be: whole copies instead of frames."""

    def __init__(self, rows: dict[str, dict[bytes, bytes]]) -> None:
        self.rows = rows

    @contextmanager
    def frame(self) -> Iterator[None]:
        before = {name: dict(rows) for name, rows in self.rows.items()}
        try:
            yield
        except Failed:
            self.rows = before
            raise

    def iterate(self, store: str, start: bytes, end: bytes | None, *, reverse: bool) -> list[tuple[bytes, bytes]]:
        rows = self.rows[store]
        found = [(key, rows[key]) for key in sorted(rows) if key >= start and (end is None or key < end)]
        return found[::-1] if reverse else found


def run(state: State, model: Model, todo: list[Step]) -> None:
    for step in todo:
        match step:
            case ("set", store, key, value):
                state.set(store, key, value)
                model.rows[store][key] = value
            case ("delete", store, key):
                state.delete(store, key)
                model.rows[store].pop(key, None)
            case ("get", store, key):
                assert state.get(store, key) == model.rows[store].get(key)
            case ("iterate", store, start, end, reverse):
                found = list(state.iterate(store, start, end, reverse=reverse))
                assert found == model.iterate(store, start, end, reverse=reverse)
            case ("frame", fails, inner):
                with suppress(Failed), state.frame(), model.frame():
                    run(state, model, inner)
                    if fails:
                        raise Failed


@settings(max_examples=300, deadline=None)
@given(committed_rows, steps)
def test_frames_reads_and_iteration_agree_with_whole_copies(rows: dict[bytes, bytes], todo: list[Step]) -> None:
    committed: dict[str, dict[bytes, bytes]] = {"one": dict(rows), "two": {}}
    state = State(MemoryView(1, committed), STORES)
    model = Model({name: dict(each) for name, each in committed.items()})
    run(state, model, todo)
    for store in STORES:
        assert list(state.iterate(store)) == model.iterate(store, b"", None, reverse=False)
        net = dict(committed[store])
        for key, value in state.changes().get(store, {}).items():
            if value is None:
                net.pop(key, None)
            else:
                net[key] = value
        assert net == model.rows[store]
    assert committed["one"] == rows


def journal(rows: dict[bytes, bytes] | None = None) -> State:
    return State(MemoryView(1, {"one": rows or {}, "two": {}}), STORES)


def test_rows_may_be_deleted_while_they_are_iterated() -> None:
    state = journal({b"a": b"1", b"c": b"1"})
    state.set("one", b"b", b"1")
    for key, _ in state.iterate("one"):
        state.delete("one", key)
    assert list(state.iterate("one")) == []


def test_an_iteration_sees_the_keys_of_its_beginning_with_their_newest_values() -> None:
    state = journal({b"a": b"1", b"c": b"1"})
    state.set("one", b"d", b"1")
    found = state.iterate("one")
    assert next(found) == (b"a", b"1")
    state.set("one", b"b", b"new")
    state.set("one", b"c", b"changed")
    state.delete("one", b"d")
    assert list(found) == [(b"c", b"changed")]


def test_many_new_keys_between_iterations_stay_in_order() -> None:
    state = journal()
    for number in range(400):
        state.set("one", (number * 7919 % 65536).to_bytes(2), b"1")
        if number % 50 == 0 or number > 390:
            assert [key for key, _ in state.iterate("one")] == sorted(state.changes()["one"])


def test_a_frame_that_ends_before_its_inner_frame_is_a_bug() -> None:
    state = journal()
    outer = state.frame()
    inner = state.frame()
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(StoreError, match="ended before"):
        outer.__exit__(None, None, None)


def test_what_the_store_does_not_take_is_refused_at_once() -> None:
    state = journal()
    for key, value in ((b"", b"1"), (b"k" * 401, b"1"), (b"k", b"")):
        with pytest.raises(RefusedEntry):
            state.set("one", key, value)
    with pytest.raises(RefusedEntry):
        state.delete("one", b"")


def test_a_store_that_was_never_declared_is_refused() -> None:
    state = journal()
    for use in (
        lambda: state.get("three", b"k"),
        lambda: state.set("three", b"k", b"v"),
        lambda: state.delete("three", b"k"),
        lambda: state.iterate("three"),
    ):
        with pytest.raises(UnknownStore, match="three"):
            use()
