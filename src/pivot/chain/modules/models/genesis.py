"""The models with which the network begins, or goes on."""

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.models.messages import check_model
from pivot.chain.modules.models.state import model, models, put
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Model


def begin(block: Block, document: GenesisState) -> None:
    """Write the genesis' models. Raises NetworkError (INVALID_FIELD), ValueError for an id that stands there twice."""
    _put_all(block, document.model_list)


def load(block: Block, document: dict[str, Any]) -> None:
    """Write an exported chain's models. Raises as `begin` does, and json_format.ParseError."""
    _put_all(block, (json_format.ParseDict(entry, Model()) for entry in document.get("model_list", [])))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` takes."""
    listed = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in models(state)]
    return {"model_list": listed}


def _put_all(block: Block, records: Iterable[Model]) -> None:
    for record in records:
        check_model(record)
        if model(block.state, record.id) is not None:
            raise ValueError(f"the genesis has the model {record.id!r} twice")
        put(block.state, record)
