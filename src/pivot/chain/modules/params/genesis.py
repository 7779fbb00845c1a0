"""The first parameters."""

from pivot.chain.modules.params.state import set_params
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.parameters import check_params


def begin(block: Block, document: GenesisState) -> None:
    """Take the parameters of the genesis file. Raises InvalidParameters."""
    check_params(document.params)
    set_params(block.state, document.params)
