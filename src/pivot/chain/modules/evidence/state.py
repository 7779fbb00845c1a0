"""Rows of the store `evidence`, as published: 0x00 ‖ SHA-256 of an Equivocation (32 bytes) to the Equivocation in an Any."""

from collections.abc import Iterator

from cosmos.evidence.v1beta1.evidence_pb2 import Equivocation
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.hashes import sha256
from pivot.protocol.messages import pack

STORE = "evidence"
EVIDENCE = b"\x00"


def evidence(reader: Reader, digest: bytes) -> AnyMessage | None:
    """What was found, by its hash (32 bytes)."""
    row = reader.get(STORE, EVIDENCE + digest)
    return None if row is None else AnyMessage.FromString(row)


def all_evidence(reader: Reader) -> Iterator[AnyMessage]:
    """All that was found, by hash."""
    for _, row in reader.iterate(STORE, EVIDENCE, prefix_end(EVIDENCE)):
        yield AnyMessage.FromString(row)


def put_evidence(state: State, found: Equivocation) -> None:
    """Keep what was found."""
    digest = sha256(found.SerializeToString(deterministic=True))
    state.set(STORE, EVIDENCE + digest, pack(found).SerializeToString(deterministic=True))
