"""The section `evidence` of a genesis, in the Cosmos SDK's shape."""

from typing import Any

from cosmos.evidence.v1beta1.evidence_pb2 import Equivocation
from cosmos.evidence.v1beta1.genesis_pb2 import GenesisState
from google.protobuf import json_format

from pivot.chain.modules.evidence.state import all_evidence, put_evidence
from pivot.chain.types import Block, Reader


def load(block: Block, document: dict[str, Any]) -> None:
    """Take what was found. Raises json_format.ParseError, ValueError for another kind than an Equivocation."""
    for packed in json_format.ParseDict(document, GenesisState()).evidence:
        found = Equivocation()
        if not packed.Unpack(found):
            raise ValueError(f"the genesis has evidence of a kind that nobody knows: {packed.type_url}")
        put_evidence(block.state, found)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    document: dict[str, Any] = json_format.MessageToDict(
        GenesisState(evidence=all_evidence(state)),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return document
