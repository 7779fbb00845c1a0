"""The fast tree against its definition."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.store import oracle, tree
from pivot.chain.store.encoding import DEEPEST_PATH, EMPTY_ROOT, LONGEST_KEY, leaf_hash
from pivot.chain.store.tree import Leaf, Tree
from tests.chain.store.rows import Changes, apply, changes, random_changes


class Grown:
    """A tree and the flat rows below it, changed together."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.tree: Tree = None

    def read(self, start: bytes, count: int) -> list[Leaf]:
        return [(key, leaf_hash(key, self.rows[key])) for key in sorted(self.rows) if key >= start][:count]

    def change(self, changed: Changes) -> None:
        keys = sorted(changed)
        values = [changed[key] for key in keys]
        digests = [None if value is None else leaf_hash(key, value) for key, value in zip(keys, values, strict=True)]
        self.tree = tree.change(self.tree, keys, digests, self.read)
        apply(self.rows, changed)

    def check(self) -> None:
        assert tree.root_hash(self.tree) == oracle.root_hash(self.rows)
        leaves = [(key, leaf_hash(key, self.rows[key])) for key in sorted(self.rows)]
        assert tree.fold(leaves) == self.tree


@settings(deadline=None)
@given(st.lists(changes, max_size=6))
def test_any_changes_in_any_order_give_the_tree_of_the_rows_that_are_left(blocks: list[Changes]) -> None:
    grown = Grown()
    for changed in blocks:
        grown.change(changed)
        grown.check()


@pytest.mark.parametrize("seed", range(8))
def test_large_blocks_of_inserts_updates_and_deletes(seed: int) -> None:
    source = random.Random(seed)
    grown = Grown()
    for _ in range(12):
        grown.change(random_changes(source, source.choice([1, 5, 120]), source.choice([0.1, 0.5, 0.9])))
        grown.check()


@pytest.mark.parametrize("seed", range(4))
def test_deleting_every_key_leaves_the_empty_tree(seed: int) -> None:
    source = random.Random(seed)
    grown = Grown()
    grown.change(random_changes(source, 300, deletions=0))
    grown.check()
    grown.change(dict.fromkeys(grown.rows))
    assert grown.tree is None
    assert tree.root_hash(grown.tree) == EMPTY_ROOT == oracle.root_hash({})
    grown.change({b"again": b"1"})
    grown.check()


def test_deleting_what_is_not_there_changes_nothing() -> None:
    grown = Grown()
    grown.change(random_changes(random.Random(1), 200, deletions=0))
    before = grown.tree
    grown.change({b"nowhere": None, b"\x00" * 7: None, b"\xff" * 7: None})
    assert grown.tree == before
    grown.check()


def test_the_root_depends_on_the_rows_alone_not_on_their_history() -> None:
    rows = {bytes([a, b]): bytes([b + 1]) for a in range(12) for b in range(12)}
    at_once, one_by_one = Grown(), Grown()
    at_once.change(dict(rows))
    for key in sorted(rows, key=lambda each: each[::-1]):
        one_by_one.change({key: b"first", b"guest" + key: b"1"})
        one_by_one.change({key: rows[key], b"guest" + key: None})
    assert at_once.tree == one_by_one.tree


@pytest.mark.parametrize("seed", range(4))
def test_paths_are_those_of_the_definition(seed: int) -> None:
    grown = Grown()
    grown.change(random_changes(random.Random(seed), 150, deletions=0))
    assert grown.tree is not None
    for key in grown.rows:
        assert tree.path(grown.tree, key, grown.read) == oracle.path(grown.rows, key)


def forks(key: bytes) -> Changes:
    """A key of 0xff bytes, and one that parts from it at each of its bits."""
    made: Changes = {key: b"1"}
    for length in range(len(key)):
        made |= {key[:length] + bytes([0xFF & ~(1 << bit)]): b"1" for bit in range(8)}
        if length:
            made[key[:length]] = b"1"
    return made


def test_a_key_that_forks_at_every_bit_has_the_path_of_the_definition() -> None:
    key = b"\xff" * 20
    grown = Grown()
    grown.change(forks(key))
    grown.check()
    assert grown.tree is not None
    path = tree.path(grown.tree, key, grown.read)
    assert len(path) == 8 * 20 + 19
    assert path == oracle.path(grown.rows, key)


def test_the_deepest_tree_that_keys_can_make_is_no_error() -> None:
    """Somebody who chooses keys can make one path as deep as the longest key has bits."""
    key = b"\xff" * LONGEST_KEY
    grown = Grown()
    grown.change(forks(key))
    assert grown.tree is not None
    assert grown.tree.height == 8 * LONGEST_KEY + LONGEST_KEY - 1 <= DEEPEST_PATH
    before = grown.tree
    grown.change({key: b"2"})
    assert grown.tree != before
    grown.change({key: b"1"})
    assert tree.root_hash(grown.tree) == before.hash
    assert len(tree.path(before, key, grown.read)) == before.height
