"""The first validators: the members of epoch 0. They count as proven."""

from pivot.chain.modules.members.state import electorate
from pivot.chain.modules.validators.state import process_updates, prove, set_members
from pivot.chain.types import Block
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState


def begin(block: Block, _: GenesisState) -> None:
    """Give the first members their power. The block's updates are the set with which the engine begins."""
    first = electorate(block.state, 0)
    for member in first:
        prove(block.state, consensus_address(member[1]))
    set_members(block, first)
    process_updates(block)
