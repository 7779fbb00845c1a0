"""The first coins, which are all that there will ever be, and which of them stand behind transactions."""

from typing import Any

from pivot.chain.modules.bank import quota
from pivot.chain.modules.bank.state import balance, balances, put_genesis_balance, put_genesis_supply, supply
from pivot.chain.types import Block, Reader
from pivot.primitives.coins import BASE_DENOM, MAX_AMOUNT, parse_amount


def load(block: Block, document: dict[str, Any]) -> None:
    """Give the balances of the genesis file. Raises ValueError when they are too large or do not add up to its supply."""
    total = 0
    for entry in document.get("balances", []):
        for coin in entry["coins"]:
            _require_denom(coin)
            if balance(block.state, entry["address"]):
                raise ValueError(f"the genesis gives two balances to {entry['address']}")
            amount = parse_amount(coin["amount"])
            put_genesis_balance(block.state, entry["address"], amount)
            total += amount
    if total > MAX_AMOUNT:
        raise ValueError(
            f"the genesis holds {total}{BASE_DENOM}; sums of coins are kept in 63 bits, {MAX_AMOUNT} at most"
        )
    for coin in document.get("supply", []):
        _require_denom(coin)
        if parse_amount(coin["amount"]) != total:
            raise ValueError(f"the genesis tells a supply of {coin['amount']}, but its balances add up to {total}")
    put_genesis_supply(block.state, total)
    for entry in document.get("quotas", []):
        quota.put_quota(block.state, entry["address"], int(entry["window"]), int(entry["amount"]))
    for entry in document.get("makers", []):
        quota.put_maker(block.state, entry["address"], entry["maker"])


def export(state: Reader) -> dict[str, Any]:
    """All balances, as `load` takes them."""
    return {
        "balances": [{"address": address, "coins": [_coin(amount)]} for address, amount in balances(state)],
        "supply": [_coin(supply(state))] if supply(state) else [],
        "quotas": [
            {"address": address, "window": str(window), "amount": str(amount)}
            for address, window, amount in quota.quotas(state)
        ],
        "makers": [{"address": address, "maker": maker} for address, maker in quota.makers(state)],
    }


def _coin(amount: int) -> dict[str, str]:
    return {"denom": BASE_DENOM, "amount": str(amount)}


def _require_denom(coin: dict[str, str]) -> None:
    if coin["denom"] != BASE_DENOM:
        raise ValueError(f"the genesis holds {coin['denom']!r}; the network's only coin is {BASE_DENOM}")
