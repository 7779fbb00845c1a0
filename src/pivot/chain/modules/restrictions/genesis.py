"""The restriction of transfers in a genesis."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.restrictions.checks import check_restriction_params
from pivot.chain.modules.restrictions.state import (
    is_lifted,
    put_lifted,
    put_restriction_params,
    put_uses,
    restriction_params,
    usages,
)
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.restrictions.types_pb2 import ExemptionUsage, Params


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the parameters, and how often exemptions have been used. Raises InvalidRestrictions."""
    params = json_format.ParseDict(document.get("params", {}), Params())
    check_restriction_params(params)
    put_restriction_params(block.state, params)
    for entry in document.get("exemption_usages", []):
        put_uses(block.state, json_format.ParseDict(entry, ExemptionUsage()))
    if document.get("lifted"):
        put_lifted(block.state)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return {
        "params": json_format.MessageToDict(restriction_params(state), preserving_proto_field_name=True),
        "exemption_usages": [
            json_format.MessageToDict(usage, preserving_proto_field_name=True) for usage in usages(state)
        ],
        "lifted": is_lifted(state),
    }
