"""What holds after every block."""

from cosmos.evidence.v1beta1.evidence_pb2 import Equivocation
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.modules.evidence.state import EVIDENCE, STORE
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.primitives.hashes import sha256
from pivot.protocol.messages import type_url


def check_evidence(state: Reader) -> None:
    """Each proof is an Equivocation and stands under its own hash, so that nobody is accused by another's. Raises AssertionError."""
    for key, row in state.iterate(STORE, EVIDENCE, prefix_end(EVIDENCE)):
        packed = AnyMessage.FromString(row)
        if packed.type_url != type_url(Equivocation) or key != EVIDENCE + sha256(packed.value):
            raise AssertionError(f"the evidence {key.hex()} is not what stands there: {packed}")
