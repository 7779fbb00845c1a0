"""What holds after every block."""

from pivot.chain.modules.bank.state import balances, supply
from pivot.chain.types import Reader


def check_supply(state: Reader) -> None:
    """The sum of all balances is the supply. Raises AssertionError."""
    held = sum(amount for _, amount in balances(state))
    if held != supply(state):
        raise AssertionError(f"all balances add up to {held}, but {supply(state)} coins exist")
