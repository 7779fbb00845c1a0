"""Partial upgrades of an exported chain."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.partial_upgrades.state import partial_upgrades, put
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the partial upgrades. Raises json_format.ParseError."""
    for entry in document.get("partial_upgrade_list", []):
        put(block.state, json_format.ParseDict(entry, PartialUpgrade()))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` takes."""
    listed = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in partial_upgrades(state)]
    return {"partial_upgrade_list": listed}
