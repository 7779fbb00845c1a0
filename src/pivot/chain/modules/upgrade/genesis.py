"""What an exported chain has scheduled and applied."""

from typing import Any

from cosmos.upgrade.v1beta1.upgrade_pb2 import Plan
from google.protobuf import json_format

from pivot.chain.modules.upgrade.state import applied, last_applied, note_applied, plan, schedule
from pivot.chain.types import Block, Reader


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the plan that is scheduled and those that were applied, in their order. Raises json_format.ParseError."""
    for entry in document.get("applied", []):
        note_applied(block.state, entry["name"], int(entry["height"]))
    if "plan" in document:
        schedule(block.state, json_format.ParseDict(document["plan"], Plan()))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` takes."""
    last = last_applied(state)
    in_order = sorted(applied(state), key=lambda each: (each[1], each[0] == last, each[0]))
    document: dict[str, Any] = {"applied": [{"name": name, "height": str(height)} for name, height in in_order]}
    if (scheduled := plan(state)) is not None:
        document["plan"] = json_format.MessageToDict(scheduled, preserving_proto_field_name=True)
    return document
