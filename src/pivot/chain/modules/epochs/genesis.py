"""Epoch 0: the time before the first sprint, served and checked by the genesis' participants."""

from pivot.chain.modules.epochs.state import put
from pivot.chain.modules.params.state import genesis_hash
from pivot.chain.types import Block
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
