"""The authenticated tree from its definition: slow and plain, the judge of `tree`.

The tree over a set of keys is the leaf, if there is one key; otherwise an inner node at the first position where the
keys' codes differ, with those that have a 0 there to the left and those that have a 1 to the right.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from pivot.chain.store.encoding import EMPTY_ROOT, inner_hash, leaf_hash
from pivot.chain.store.tree import Step

CodedLeaf: TypeAlias = tuple[str, bytes]
"""A key's code and its leaf hash."""


class Summary(NamedTuple):
    """What a parent must know of a subtree."""

    hash: bytes
    size: int
    height: int


def code(key: bytes) -> str:
    """A key's bits: `1` and the 8 bits for each byte, `0` at the end."""
    return "".join(f"1{byte:08b}" for byte in key) + "0"


def root_hash(entries: Mapping[bytes, bytes]) -> bytes:
    """The root over all keys and values of a store (32 bytes)."""
    leaves = _coded(entries)
    return _summary(leaves).hash if leaves else EMPTY_ROOT


def path(entries: Mapping[bytes, bytes], key: bytes) -> list[Step]:
    """The inner nodes between the leaf of a key that is present and the root, lowest first."""
    leaves = _coded(entries)
    coded = code(key)
    steps: list[Step] = []
    while len(leaves) > 1:
        here = _summary(leaves)
        bit, left, right = _parted(leaves)
        if coded[bit] == "0":
            steps.append(Step(here.height, here.size, _summary(right).hash, sibling_is_left=False))
            leaves = left
        else:
            steps.append(Step(here.height, here.size, _summary(left).hash, sibling_is_left=True))
            leaves = right
    return steps[::-1]


def _coded(entries: Mapping[bytes, bytes]) -> list[CodedLeaf]:
    return [(code(key), leaf_hash(key, entries[key])) for key in sorted(entries)]


def _summary(leaves: Sequence[CodedLeaf]) -> Summary:
    if len(leaves) == 1:
        return Summary(leaves[0][1], 1, 0)
    _, left_leaves, right_leaves = _parted(leaves)
    left, right = _summary(left_leaves), _summary(right_leaves)
    size, height = left.size + right.size, max(left.height, right.height) + 1
    return Summary(inner_hash(height, size, left.hash, right.hash), size, height)


def _parted(leaves: Sequence[CodedLeaf]) -> tuple[int, list[CodedLeaf], list[CodedLeaf]]:
    first, last = leaves[0][0], leaves[-1][0]
    bit = next(position for position, (low, high) in enumerate(zip(first, last, strict=False)) if low != high)
    left = [leaf for leaf in leaves if leaf[0][bit] == "0"]
    right = [leaf for leaf in leaves if leaf[0][bit] == "1"]
    return bit, left, right
