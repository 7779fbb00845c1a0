"""What holds after every block."""

from pivot.chain.modules.models.state import MAX_MODEL_ID, MODELS, STORE
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import InvalidDecimal, fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.pricing import MAX_PRICE


def check_models(state: Reader) -> None:
    """Each model stands under its id, costs what an escrow can hold, and is checked against a share of 1. Raises AssertionError."""
    for key, row in state.iterate(STORE, MODELS, prefix_end(MODELS)):
        record = Model.FromString(row)
        name = record.id.encode()
        if not 0 < len(name) <= MAX_MODEL_ID or key != MODELS + name + b"/":
            raise AssertionError(f"the model {record.id!r} stands under {key!r}")
        if record.coins_per_token > MAX_PRICE:
            raise AssertionError(f"a token of {record.id} shall cost {record.coins_per_token}")
        if not _is_share(record.validation_threshold):
            raise AssertionError(f"answers of {record.id} are checked against {record.validation_threshold}")


def _is_share(number: Decimal) -> bool:
    try:
        return 0 <= fixed_point(number) <= ONE
    except InvalidDecimal:
        return False
