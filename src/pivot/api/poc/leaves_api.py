"""What a checker asks of a host, and what the host answers: `GET /v1/poc/{epoch}/leaves` (docs/protocol/poc.md).

Query: `node_number`, and `indices` separated by commas. Signed (`between_hosts/signatures.py`) over `leaves_sign_bytes`.
"""

import base64
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pivot.protocol.mlnode_api import LeafIndex, NodeNumber, decode_base64

LEAVES_PATH = "/v1/poc/{epoch}/leaves"
MAX_INDICES = 256
"""Most leaves in one request."""
MAX_PROOF_HASHES = 64
MAX_HASH_LENGTH = 64
"""Characters of a fingerprint or a hash in base64, with some room."""

Base64Hash = Annotated[str, Field(max_length=MAX_HASH_LENGTH)]


class ServedLeaf(BaseModel):
    """One leaf with its Merkle proof against the host's commit, lowest hash first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: LeafIndex
    fingerprint: Base64Hash
    proof: Annotated[list[Base64Hash], Field(max_length=MAX_PROOF_HASHES)]

    @classmethod
    def of(cls, index: int, fingerprint: bytes, proof: list[bytes]) -> "ServedLeaf":
        return cls(index=index, fingerprint=_encoded(fingerprint), proof=[_encoded(part) for part in proof])

    def content(self) -> tuple[bytes, list[bytes]]:
        """Fingerprint and proof as bytes. Raises ValueError when they are not base64."""
        return decode_base64(self.fingerprint), [decode_base64(part) for part in self.proof]


class LeavesAnswer(BaseModel):
    """The leaves asked for, in the order of the request."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    node_number: NodeNumber
    leaves: Annotated[list[ServedLeaf], Field(max_length=MAX_INDICES)]


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
