"""The bytes that are hashed: leaves, inner nodes and the app hash.

Leaves and inner nodes are encoded as an IAVL tree encodes them, so that published ICS-23 checkers accept our proofs
under their IAVL specification; the app hash is the simple Merkle root over the stores, which they check under their
Tendermint specification. Rules: docs/protocol/state.md, sections 2 and 3.

A key is read as a string of bits in which each byte is `1` followed by its 8 bits and the key's end is `0`. In this
code, order of bits is order of keys, and no key's code is a prefix of another's.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from pivot.chain.store.errors import RefusedEntry

LONGEST_KEY = 400  # bytes; LMDB takes 511
BITS_PER_BYTE = 9  # of a key's code
DEEPEST_PATH = BITS_PER_BYTE * LONGEST_KEY + 1  # inner nodes above a leaf, at most
HASH_SIZE = 32

EMPTY_ROOT = sha256(b"").digest()  # the root of a store without keys

# Zigzag varints of height 0, size 1, version 1. The version is the same everywhere and for ever: were it the height of
# the last change, the root would depend on history, and a snapshot could not be plain keys and values.
LEAF_PREFIX = b"\x00\x02\x02"
VERSION = b"\x02"
LENGTH_OF_HASH = b"\x20"

SIMPLE_LEAF_PREFIX = b"\x00"
SIMPLE_INNER_PREFIX = b"\x01"

_number = int.from_bytes


def check_key(key: bytes) -> None:
    """Refuse a key that ICS-23 or LMDB could not hold."""
    if not 0 < len(key) <= LONGEST_KEY:
        raise RefusedEntry(f"A key has 1 to {LONGEST_KEY} bytes, this one has {len(key)}: {key[:LONGEST_KEY].hex()}.")


def check_value(key: bytes, value: bytes) -> None:
    """Refuse the empty value: ICS-23 could not tell it from an absent one."""
    if not value:
        raise RefusedEntry(f"The value of key {key.hex()} is empty; delete the key instead.")


def varint(number: int) -> bytes:
    """A non-negative integer as a protobuf varint."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


@lru_cache(maxsize=LONGEST_KEY)
def _length(number: int) -> bytes:
    return varint(number)


def leaf_hash(key: bytes, value: bytes) -> bytes:
    """The hash of one key and its value (32 bytes)."""
    return sha256(
        LEAF_PREFIX + _length(len(key)) + key + LENGTH_OF_HASH + sha256(value).digest(),
    ).digest()


@lru_cache(maxsize=1 << 16)
def inner_prefix(height: int, size: int) -> bytes:
    """What stands before the left child's hash. `height`: levels below the node; `size`: leaves below it."""
    return varint(2 * height) + varint(2 * size) + VERSION + LENGTH_OF_HASH


def inner_hash(height: int, size: int, left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (32 bytes)."""
    return sha256(inner_prefix(height, size) + left + LENGTH_OF_HASH + right).digest()


def critical_bit(one: bytes, other: bytes) -> int:
    """The first position at which the codes of two different keys differ. A commit asks it some ten times for each changed key."""
    shared = len(one)
    if shared != len(other):
        shared = min(shared, len(other))
        one, other = one[:shared], other[:shared]
    difference = (_number(one) ^ _number(other)).bit_length()
    if not difference:
        return BITS_PER_BYTE * shared
    highest = difference - 1
    return BITS_PER_BYTE * (shared - 1 - (highest >> 3)) + 8 - (highest & 7)


def split_key(key: bytes, bit: int) -> bytes:
    """The smallest key whose code begins with the first `bit` bits of this key's code and goes on with a 1.

    It parts the keys below the node at this position: what is smaller lies to the left, the rest to the right. It
    need not be a key of the state.
    """
    index, offset = divmod(bit, BITS_PER_BYTE)
    if offset == 0:
        return key[:index] + b"\x00"
    one = 0x100 >> offset
    return key[:index] + bytes((key[index] & ~(one - 1) | one,))


class SimpleStep(NamedTuple):
    """One level of the path from a store's leaf up to the app hash."""

    sibling: bytes
    sibling_is_left: bool


def app_hash(roots: Mapping[str, bytes]) -> bytes:
    """The simple Merkle root (RFC 6962 style) over the stores' roots, in the order of their names."""
    return _simple_root(_simple_leaves(roots))


def app_hash_path(roots: Mapping[str, bytes], store: str) -> list[SimpleStep]:
    """The siblings from a store's leaf up to the app hash, lowest first."""
    leaves = _simple_leaves(roots)
    position = sorted(roots).index(store)
    path: list[SimpleStep] = []
    while len(leaves) > 1:
        middle = _split_point(len(leaves))
        if position < middle:
            path.append(SimpleStep(_simple_root(leaves[middle:]), sibling_is_left=False))
            leaves = leaves[:middle]
        else:
            path.append(SimpleStep(_simple_root(leaves[:middle]), sibling_is_left=True))
            leaves, position = leaves[middle:], position - middle
    return path[::-1]


def _simple_leaves(roots: Mapping[str, bytes]) -> list[bytes]:
    leaves = []
    for name in sorted(roots):
        store = name.encode()
        hashed = sha256(roots[name]).digest()
        leaves.append(sha256(SIMPLE_LEAF_PREFIX + varint(len(store)) + store + LENGTH_OF_HASH + hashed).digest())
    return leaves


def _simple_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = _split_point(len(leaves))
    return sha256(SIMPLE_INNER_PREFIX + _simple_root(leaves[:middle]) + _simple_root(leaves[middle:])).digest()


def _split_point(length: int) -> int:
    """The largest power of two below `length`."""
    return 1 << ((length - 1).bit_length() - 1)
