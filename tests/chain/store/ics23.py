"""A checker of ICS-23 proofs, written from the specification (cosmos/ics23) and knowing nothing of our store.

What it accepts, published clients accept: `ics23:iavl` under the IAVL specification, `ics23:simple` under Tendermint's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.ics23.v1.proofs_pb2 import (
    NO_HASH,
    SHA256,
    VAR_PROTO,
    CommitmentProof,
    ExistenceProof,
    InnerOp,
    NonExistenceProof,
)
from tendermint.crypto.proof_pb2 import ProofOps


@dataclass(frozen=True)
class Spec:
    """The shape that a proof must have."""

    child_size: int
    min_prefix: int
    max_prefix: int
    iavl: bool


IAVL = Spec(child_size=33, min_prefix=4, max_prefix=12, iavl=True)
SIMPLE = Spec(child_size=32, min_prefix=1, max_prefix=1, iavl=False)


class Refused(Exception):
    """The proof proves nothing; the text says why."""


def require(holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


def verify(proof: ProofOps, app_hash: bytes, store: str, key: bytes, value: bytes | None) -> None:
    """That the key of the store has this value (None: has none) under the app hash. Raises Refused."""
    require([op.type for op in proof.ops] == ["ics23:iavl", "ics23:simple"], "two operations are needed")
    inner, outer = (CommitmentProof.FromString(op.data) for op in proof.ops)
    root = calculate(outer.exist)
    require(root == app_hash, "the store's root does not lead to the app hash")
    check_existence(SIMPLE, outer.exist, app_hash, store.encode(), outer.exist.value)
    if value is None:
        check_absence(IAVL, inner.nonexist, outer.exist.value, key)
    else:
        check_existence(IAVL, inner.exist, outer.exist.value, key, value)


def calculate(proof: ExistenceProof) -> bytes:
    """The root to which an existence proof leads."""
    require(bool(proof.key) and bool(proof.value), "a key and a value are needed")
    node = sha256(proof.leaf.prefix + length(proof.key) + proof.key + b"\x20" + sha256(proof.value).digest()).digest()
    for step in proof.path:
        node = sha256(step.prefix + node + step.suffix).digest()
    return node


def check_existence(spec: Spec, proof: ExistenceProof, root: bytes, key: bytes, value: bytes) -> None:
    leaf = proof.leaf
    require(
        (leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length) == (SHA256, NO_HASH, SHA256, VAR_PROTO), "leaf"
    )
    require(leaf.prefix[:1] == b"\x00", "a leaf's prefix begins with 0")
    if spec.iavl:
        height, size, _, rest = iavl_numbers(leaf.prefix)
        require((height, size, rest) == (0, 1, 0), "an IAVL leaf has height 0, size 1 and nothing else")
    for layer, step in enumerate(proof.path, start=1):
        check_step(spec, step, layer)
    require((proof.key, proof.value) == (key, value), "the proof is about another key or value")
    require(calculate(proof) == root, "the proof leads to another root")


def check_step(spec: Spec, step: InnerOp, layer: int) -> None:
    require(step.hash == SHA256, "inner hash")
    require(not step.prefix.startswith(b"\x00"), "an inner node's prefix is no leaf's")
    require(spec.min_prefix <= len(step.prefix) <= spec.max_prefix + spec.child_size, "length of an inner prefix")
    require(len(step.suffix) % spec.child_size == 0, "length of an inner suffix")
    if spec.iavl:
        height, _, _, rest = iavl_numbers(step.prefix)
        require(height >= layer, "a node is at least as high as its place in the path")
        require(rest in {1, 34}, "an IAVL inner prefix ends with a length, or with a sibling and a length")


def check_absence(spec: Spec, proof: NonExistenceProof, root: bytes, key: bytes) -> None:
    left = proof.left if proof.HasField("left") else None
    right = proof.right if proof.HasField("right") else None
    require(left is not None or right is not None, "an absent key needs a neighbour")
    if left is not None:
        check_existence(spec, left, root, left.key, left.value)
        require(left.key < key, "the left neighbour is not to the left")
    if right is not None:
        check_existence(spec, right, root, right.key, right.value)
        require(key < right.key, "the right neighbour is not to the right")
    if left is None and right is not None:
        require(outermost(spec, right.path, branch=0), "the right neighbour is not the first key")
    elif right is None and left is not None:
        require(outermost(spec, left.path, branch=1), "the left neighbour is not the last key")
    elif left is not None and right is not None:
        require(neighbours(spec, left.path, right.path), "there is room between the neighbours")


def branch_of(spec: Spec, step: InnerOp) -> int:
    """0: the path comes from the left child; 1: from the right one."""
    for branch in (0, 1):
        shift = branch * spec.child_size
        fits = spec.min_prefix + shift <= len(step.prefix) <= spec.max_prefix + shift
        if fits and len(step.suffix) == (1 - branch) * spec.child_size:
            return branch
    raise Refused("a step comes from neither child")


def outermost(spec: Spec, path: Sequence[InnerOp], *, branch: int) -> bool:
    return all(branch_of(spec, step) == branch for step in path)


def neighbours(spec: Spec, left: Sequence[InnerOp], right: Sequence[InnerOp]) -> bool:
    lefts, rights = list(left), list(right)
    while lefts and rights and lefts[-1] == rights[-1]:
        lefts.pop()
        rights.pop()
    if not lefts or not rights:
        return False
    parted = branch_of(spec, lefts.pop()) == 0 and branch_of(spec, rights.pop()) == 1
    return parted and outermost(spec, lefts, branch=1) and outermost(spec, rights, branch=0)


def iavl_numbers(prefix: bytes) -> tuple[int, int, int, int]:
    """Height, size and version of an IAVL prefix, and how many bytes follow."""
    numbers = []
    position = 0
    for _ in range(3):
        number = shift = 0
        while True:
            require(position < len(prefix), "an IAVL prefix is cut off")
            byte = prefix[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        numbers.append(number >> 1 if number % 2 == 0 else -(number >> 1) - 1)
    require(min(numbers) >= 0, "an IAVL prefix holds a negative number")
    return numbers[0], numbers[1], numbers[2], len(prefix) - position


def length(data: bytes) -> bytes:
    number, encoded = len(data), bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded) + bytes([number])
