"""Prices in an export. A new network's follow from its models and parameters."""

from typing import Any

from pivot.chain.modules.pricing.state import (
    Interval,
    Low,
    Price,
    all_lows,
    all_traffic,
    prices,
    put_lows,
    put_price,
    put_traffic,
)
from pivot.chain.types import Block, Reader


def load(block: Block, document: dict[str, Any]) -> None:
    """Take prices with their decimals, the lowest ones lately, and the tokens of the last seconds."""
    for entry in document.get("model_prices", []):
        put_price(block.state, entry["model_id"], Price(int(entry["price_e18"]), int(entry["starting_price"])))
    for entry in document.get("model_lows", []):
        put_lows(
            block.state, entry["model_id"], [Low(int(each["start"]), int(each["price"])) for each in entry["lows"]]
        )
    for entry in document.get("model_traffic", []):
        intervals = [Interval(int(each["start"]), int(each["tokens"])) for each in entry["intervals"]]
        put_traffic(block.state, entry["model_id"], intervals)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return {
        "model_prices": [
            {"model_id": name, "price_e18": str(found.value), "starting_price": str(found.start)}
            for name, found in prices(state)
        ],
        "model_lows": [
            {"model_id": name, "lows": [{"start": str(each.start), "price": str(each.price)} for each in found]}
            for name, found in all_lows(state)
        ],
        "model_traffic": [
            {
                "model_id": name,
                "intervals": [{"start": str(each.start), "tokens": str(each.tokens)} for each in intervals],
            }
            for name, intervals in all_traffic(state)
        ],
    }
