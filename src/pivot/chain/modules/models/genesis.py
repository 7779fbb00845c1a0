"""The models with which the network begins."""

from pivot.chain.modules.models.state import MAX_MODEL_ID, model, put
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState


def begin(block: Block, document: GenesisState) -> None:
    """Write the genesis' models. Raises ValueError for an id that cannot be or stands there twice."""
    for record in document.model_list:
        if not 0 < len(record.id.encode()) <= MAX_MODEL_ID:
            raise ValueError(f"the genesis has a model without an id of 1 to {MAX_MODEL_ID} bytes")
        if model(block.state, record.id) is not None:
            raise ValueError(f"the genesis has the model {record.id!r} twice")
        put(block.state, record)
