"""Checks a members' proof in the order and with the fields that gonka-openai 0.2.6 uses (`GONKA_VERIFY_PROOF=1`)."""

import base64
import hashlib
from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.ics23.v1.proofs_pb2 import CommitmentProof, ExistenceProof


def check_members_proof(answer: dict[str, Any]) -> None:
    """Two operations, tree then stores: key and value are bound, and the second root is the block's app hash."""
    app_hash = bytes.fromhex(answer["block"]["header"]["app_hash"])
    value = bytes.fromhex(answer["active_participants_bytes"])
    tree, stores = answer["proof_ops"]["ops"]
    assert (tree["type"], stores["type"]) == ("ics23:iavl", "ics23:simple")
    in_tree = CommitmentProof.FromString(base64.b64decode(tree["data"])).exist
    assert in_tree.key == base64.b64decode(tree["key"])
    assert in_tree.value == value
    in_stores = CommitmentProof.FromString(base64.b64decode(stores["data"])).exist
    assert in_stores.key == base64.b64decode(stores["key"]) == b"inference"
    assert in_stores.value == _root(in_tree)
    assert _root(in_stores) == app_hash


def _root(proof: ExistenceProof) -> bytes:
    value = hashlib.sha256(proof.value).digest()
    current = hashlib.sha256(
        proof.leaf.prefix + _varint(len(proof.key)) + proof.key + _varint(len(value)) + value
    ).digest()
    for step in proof.path:
        current = hashlib.sha256(step.prefix + current + step.suffix).digest()
    return current


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
