"""The first parameters."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.params.state import (
    genesis_only_params,
    params,
    put_genesis_only_params,
    set_params,
)
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import GenesisOnlyParams, Params
from pivot.protocol.parameters import check_genesis_only_params, check_params


def begin(block: Block, document: GenesisState) -> None:
    """Take the parameters of the genesis file. Raises InvalidParameters."""
    _put(block, document.params, document.genesis_only_params)


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the parameters of an exported chain. Raises InvalidParameters, json_format.ParseError."""
    _put(
        block,
        json_format.ParseDict(document["params"], Params()),
        json_format.ParseDict(document["genesis_only_params"], GenesisOnlyParams()),
    )


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` takes. The engine's own parameters stand elsewhere in a genesis file."""
    return {
        "params": json_format.MessageToDict(params(state), preserving_proto_field_name=True),
        "genesis_only_params": json_format.MessageToDict(genesis_only_params(state), preserving_proto_field_name=True),
    }


def _put(block: Block, changeable: Params, for_good: GenesisOnlyParams) -> None:
    check_params(changeable)
    check_genesis_only_params(for_good)
    set_params(block.state, changeable)
    put_genesis_only_params(block.state, for_good)
