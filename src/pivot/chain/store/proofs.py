"""Proofs that a key has a value, or has none, against the app hash: ICS-23 inside the engine's ProofOps.

Two operations: `ics23:iavl` leads from the key to the root of its store, `ics23:simple` from there to the app hash.
Published clients check the first with the IAVL specification, the second with the Tendermint one.

A store without any key has no `ics23:iavl` proof, for ICS-23 knows none for an empty tree. The second operation stands
alone then, and shows that the store's root is `EMPTY_ROOT`.
"""

from collections.abc import Callable, Mapping, Sequence

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.ics23.v1.proofs_pb2 import (
    NO_HASH,
    SHA256,
    VAR_PROTO,
    CommitmentProof,
    ExistenceProof,
    InnerOp,
    LeafOp,
    NonExistenceProof,
)
from tendermint.crypto.proof_pb2 import ProofOp, ProofOps

from pivot.chain.store.encoding import (
    EMPTY_ROOT,
    LEAF_PREFIX,
    LENGTH_OF_HASH,
    SIMPLE_INNER_PREFIX,
    SIMPLE_LEAF_PREFIX,
    app_hash_path,
    inner_prefix,
)
from pivot.chain.store.journal import Reader
from pivot.chain.store.tree import Step

TREE_PROOF = "ics23:iavl"
STORES_PROOF = "ics23:simple"


def prove(
    rows: Reader, roots: Mapping[str, bytes], path: Callable[[bytes], Sequence[Step]], store: str, key: bytes
) -> tuple[bytes | None, ProofOps]:
    """The value of a key of this store, or None, and the proof of it.

    `rows` and `roots` (of every store) belong to one committed block; `path` gives the path of a key that is present.
    """
    operations = []
    value = rows.get(store, key)
    if roots[store] != EMPTY_ROOT:
        proof = CommitmentProof()
        if value is not None:
            proof.exist.CopyFrom(_existence(key, value, path(key)))
        else:
            proof.nonexist.CopyFrom(_absence(rows, path, store, key))
        operations.append(ProofOp(type=TREE_PROOF, key=key, data=proof.SerializeToString()))
    proof = CommitmentProof(exist=_store_existence(roots, store))
    operations.append(ProofOp(type=STORES_PROOF, key=store.encode(), data=proof.SerializeToString()))
    return value, ProofOps(ops=operations)


def _existence(key: bytes, value: bytes, path: Sequence[Step]) -> ExistenceProof:
    return ExistenceProof(key=key, value=value, leaf=_leaf_op(LEAF_PREFIX), path=[_inner_op(step) for step in path])


def _absence(rows: Reader, path: Callable[[bytes], Sequence[Step]], store: str, key: bytes) -> NonExistenceProof:
    """The two neighbours of an absent key: a checker sees from their paths that nothing lies between them."""
    proof = NonExistenceProof(key=key)
    for neighbour, value in _first(rows, store, key, reverse=True):
        proof.left.CopyFrom(_existence(neighbour, value, path(neighbour)))
    for neighbour, value in _first(rows, store, key, reverse=False):
        proof.right.CopyFrom(_existence(neighbour, value, path(neighbour)))
    return proof


def _first(rows: Reader, store: str, key: bytes, *, reverse: bool) -> list[tuple[bytes, bytes]]:
    """The nearest row below the key (`reverse`) or from it on."""
    near = rows.iterate(store, end=key, reverse=True) if reverse else rows.iterate(store, key)
    row = next(near, None)
    return [] if row is None else [row]


def _store_existence(roots: Mapping[str, bytes], store: str) -> ExistenceProof:
    path = []
    for step in app_hash_path(roots, store):
        if step.sibling_is_left:
            path.append(InnerOp(hash=SHA256, prefix=SIMPLE_INNER_PREFIX + step.sibling))
        else:
            path.append(InnerOp(hash=SHA256, prefix=SIMPLE_INNER_PREFIX, suffix=step.sibling))
    return ExistenceProof(key=store.encode(), value=roots[store], leaf=_leaf_op(SIMPLE_LEAF_PREFIX), path=path)


def _leaf_op(prefix: bytes) -> LeafOp:
    return LeafOp(hash=SHA256, prehash_key=NO_HASH, prehash_value=SHA256, length=VAR_PROTO, prefix=prefix)


def _inner_op(step: Step) -> InnerOp:
    prefix = inner_prefix(step.height, step.size)
    if step.sibling_is_left:
        return InnerOp(hash=SHA256, prefix=prefix + step.sibling + LENGTH_OF_HASH)
    return InnerOp(hash=SHA256, prefix=prefix, suffix=LENGTH_OF_HASH + step.sibling)
