"""The first coins, which are all that there will ever be."""

from typing import Any

from pivot.chain.modules.bank.state import put_genesis_balance, put_genesis_supply
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, parse_amount


def load(block: Block, document: dict[str, Any]) -> None:
    """Give the balances of the genesis file. Raises ValueError when they do not add up to its supply."""
    total = 0
    seen = []
    for entry in document.get("balances", []):
        for coin in entry["coins"]:
            _require_denom(coin)
            amount = parse_amount(coin["amount"])
            put_genesis_balance(block.state, entry["address"], amount)
            total += amount
        seen.append(entry["address"])
    if len(set(seen)) != len(seen):
        raise ValueError("the genesis gives two balances to one address")
    for coin in document.get("supply", []):
        _require_denom(coin)
        if parse_amount(coin["amount"]) != total:
            raise ValueError(f"the genesis tells a supply of {coin['amount']}, but its balances add up to {total}")
    put_genesis_supply(block.state, total)


def _require_denom(coin: dict[str, str]) -> None:
    if coin["denom"] != BASE_DENOM:
        raise ValueError(f"the genesis holds {coin['denom']!r}; the network's only coin is {BASE_DENOM}")
