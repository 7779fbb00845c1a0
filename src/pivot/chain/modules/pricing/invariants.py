"""What holds after every block."""

from pivot.chain.modules.models.state import models
from pivot.chain.modules.pricing.state import price
from pivot.chain.types import Reader
from pivot.protocol.pricing import MAX_PRICE


def check_prices(state: Reader) -> None:
    """Every model has a price, above 0 and below the highest that an escrow can hold (W-17). Raises AssertionError."""
    for each in models(state):
        per_token = price(state, each.id)
        if per_token is None or not 0 < per_token <= MAX_PRICE:
            raise AssertionError(f"a token of {each.id} costs {per_token}")
