"""Epoch 0, the time before the first sprint, served and checked by the genesis' participants; epochs in an export."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.epochs.state import effective_index, put, put_effective_index, records
from pivot.chain.modules.params.state import genesis_hash
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries


def begin(block: Block, document: GenesisState) -> None:
    """Write the record of epoch 0. It has no sprint of its own: all its heights are 0 but that of the first sprint."""
    put(
        block.state,
        Epoch(
            boundaries=EpochBoundaries(next_poc_start=document.params.epoch_params.epoch_shift),
            params=document.params,
            randomness=genesis_hash(block.state),
            created_time=block.time,
        ),
    )


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the records of epochs, with their heights and parameters, and which of them is in force."""
    for entry in document["epochs"]:
        put(block.state, json_format.ParseDict(entry, Epoch()))
    if index := int(document["effective_epoch_index"]):
        put_effective_index(block.state, index)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return {
        "epochs": [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in records(state)],
        "effective_epoch_index": str(effective_index(state)),
    }
