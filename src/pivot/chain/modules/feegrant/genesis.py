"""Allowances in a genesis file."""

from typing import Any

from cosmos.feegrant.v1beta1.genesis_pb2 import GenesisState
from google.protobuf import json_format

from pivot.chain.modules.auth.state import ensure_account
from pivot.chain.modules.feegrant.allowances import check
from pivot.chain.modules.feegrant.state import grants, put
from pivot.chain.types import Block, Reader


def load(block: Block, document: dict[str, Any]) -> None:
    """Write the allowances. Raises what a message that gives one would be refused for."""
    for each in json_format.ParseDict(document, GenesisState()).allowances:
        check(each.allowance)
        ensure_account(block.state, each.grantee)
        put(block.state, each)


def export(state: Reader) -> dict[str, Any]:
    """All allowances, as `load` takes them."""
    published = GenesisState(allowances=grants(state))
    return json_format.MessageToDict(published, preserving_proto_field_name=True)
