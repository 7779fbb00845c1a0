"""Rows of models in the store `inference`.

Model/value/<id>/       Model
"""

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Model

STORE = "inference"
MODELS = b"Model/value/"
MAX_MODEL_ID = 256
"""Bytes of a model's id."""


def model(state: Reader, model_id: str) -> Model | None:
    """The model's registration, or None."""
    if len(model_id.encode()) > MAX_MODEL_ID:
        return None
    row = state.get(STORE, _key(model_id))
    return None if row is None else Model.FromString(row)


def models(state: Reader) -> list[Model]:
    """All models by id."""
    return [Model.FromString(row) for _, row in state.iterate(STORE, MODELS, prefix_end(MODELS))]


def put(state: State, record: Model) -> None:
    """Write a model's registration."""
    state.set(STORE, _key(record.id), record.SerializeToString(deterministic=True))


def _key(model_id: str) -> bytes:
    return MODELS + model_id.encode() + b"/"
