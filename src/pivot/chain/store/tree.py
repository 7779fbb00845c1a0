"""The authenticated tree over one store: a crit-bit tree in key order, of which only the upper part is kept.

Its shape depends on the keys alone. An inner node stands wherever the codes of two keys part (`encoding` says what a
key's code is); below 9 leaves nothing is kept but one hash, and the leaves are read again from the flat table when
they matter. Nodes are immutable: a new version of the tree shares all that did not change with the last one.

This module knows neither LMDB nor values: leaves come in as `(key, leaf hash)`, in key order. `oracle` computes the same
roots slowly from the definition.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from pivot.chain.store.encoding import (
    DEEPEST_PATH,
    EMPTY_ROOT,
    critical_bit,
    inner_hash,
    split_key,
)

BUCKET_SIZE = 8  # leaves; a larger one saves memory and costs time per change

# Someone who chooses keys can make one path as deep as a key has bits; that must not be an error on any machine.
FRAMES_OF_THE_CALLER = 2_000
sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEPEST_PATH + FRAMES_OF_THE_CALLER))

Leaf: TypeAlias = tuple[bytes, bytes]
"""A key and its leaf hash."""

ReadLeaves: TypeAlias = Callable[[bytes, int], list[Leaf]]
"""`read(start, count)`: the first `count` leaves of the flat table from the key `start` on."""


class Bucket(NamedTuple):
    """A largest subtree of at most BUCKET_SIZE leaves."""

    hash: bytes
    size: int
    height: int


class Inner(NamedTuple):
    """A node with more than BUCKET_SIZE leaves below it."""

    hash: bytes
    size: int  # leaves
    height: int  # levels below this node
    bit: int  # the position at which the keys below part
    split: bytes  # what is smaller lies to the left
    left: "Node"
    right: "Node"


Node: TypeAlias = Bucket | Inner
Tree: TypeAlias = Node | None
"""None is the tree without leaves."""


class Step(NamedTuple):
    """One inner node on the path from a leaf to the root."""

    height: int
    size: int
    sibling: bytes
    sibling_is_left: bool


def root_hash(tree: Tree) -> bytes:
    """The store's root (32 bytes)."""
    return EMPTY_ROOT if tree is None else tree.hash


def fold(leaves: Iterable[Leaf]) -> Tree:
    """Build the tree over leaves that come in ascending key order, in one pass.

    Two neighbours part at their critical bit. A pending split is closed as soon as a split above it opens, so the
    pending ones are exactly the path to the latest leaf.
    """
    pending: list[tuple[int, bytes, Node]] = []
    last: Node | None = None
    last_key = b""
    for key, digest in leaves:
        if last is not None:
            bit = critical_bit(last_key, key)
            while pending and pending[-1][0] > bit:
                last = _join(*pending.pop(), last)
            pending.append((bit, split_key(key, bit), last))
        last, last_key = Bucket(digest, 1, 0), key
    while pending and last is not None:
        last = _join(*pending.pop(), last)
    return last


def _join(bit: int, split: bytes, left: Node, right: Node) -> Node:
    size = left.size + right.size
    height = max(left.height, right.height) + 1
    digest = inner_hash(height, size, left.hash, right.hash)
    if size <= BUCKET_SIZE:
        return Bucket(digest, size, height)
    return Inner(digest, size, height, bit, split, left, right)


def change(tree: Tree, keys: Sequence[bytes], digests: Sequence[bytes | None], read: ReadLeaves) -> Tree:
    """The tree after setting each key's leaf hash, or deleting the key where that is None.

    `keys` ascend. `read` reads the flat table as it is *before* the change. Deleting an absent key changes nothing.
    """

    def new_leaves(first: int, end: int) -> Iterable[Leaf]:
        return ((key, digest) for key, digest in zip(keys[first:end], digests[first:end], strict=True) if digest)

    def changed(node: Node, lower: bytes, first: int, end: int) -> Tree:
        """`node`, whose smallest key is the first one from `lower` on, with the changes `first` to `end`."""
        if first == end:
            return node
        if isinstance(node, Bucket):
            leaves: dict[bytes, bytes] = dict(read(lower, node.size))
            for index in range(first, end):
                digest = digests[index]
                if digest is None:
                    leaves.pop(keys[index], None)
                else:
                    leaves[keys[index]] = digest
            return fold(sorted(leaves.items()))
        bit = critical_bit(keys[first], node.split)
        if end - first > 1:
            bit = min(bit, critical_bit(keys[end - 1], node.split))
        left: Tree
        right: Tree
        if bit >= node.bit:  # every change lies below this node
            bit, split = node.bit, node.split
            middle = bisect_left(keys, split, first, end)
            left = changed(node.left, lower, first, middle) if first < middle else node.left
            right = changed(node.right, split, middle, end) if middle < end else node.right
        else:  # some changed key parts from the whole node, further up
            split = split_key(node.split, bit)
            middle = bisect_left(keys, split, first, end)
            if split <= node.split:
                left, right = fold(new_leaves(first, middle)), changed(node, lower, middle, end)
            else:
                left, right = changed(node, lower, first, middle), fold(new_leaves(middle, end))
        if left is None or right is None:
            return left or right
        return _join(bit, split, left, right)

    if tree is None:
        return fold(new_leaves(0, len(keys)))
    return changed(tree, b"", 0, len(keys))


def path(tree: Node, key: bytes, read: ReadLeaves) -> list[Step]:
    """The inner nodes between the leaf of a key that is present and the root, lowest first."""
    steps: list[Step] = []
    node: Node = tree
    lower = b""
    while isinstance(node, Inner):
        if key < node.split:
            steps.append(Step(node.height, node.size, node.right.hash, sibling_is_left=False))
            node = node.left
        else:
            steps.append(Step(node.height, node.size, node.left.hash, sibling_is_left=True))
            lower = node.split
            node = node.right
    leaves = read(lower, node.size)
    while len(leaves) > 1:
        middle = min(range(1, len(leaves)), key=lambda index: critical_bit(leaves[index - 1][0], leaves[index][0]))
        below, left, right = _bucket(leaves), _bucket(leaves[:middle]), _bucket(leaves[middle:])
        if key < leaves[middle][0]:
            steps.append(Step(below.height, below.size, right.hash, sibling_is_left=False))
            leaves = leaves[:middle]
        else:
            steps.append(Step(below.height, below.size, left.hash, sibling_is_left=True))
            leaves = leaves[middle:]
    return steps[::-1]


def _bucket(leaves: list[Leaf]) -> Node:
    node = fold(leaves)
    if node is None:
        raise ValueError("There is no node above no leaves.")
    return node
