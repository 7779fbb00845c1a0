"""What holds after every block."""

from pivot.chain.modules.auth.state import ACCOUNT_PREFIX, STORE, accounts, next_number
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader


def check_numbers(state: Reader) -> None:
    """Every account has a number of its own, counted from 0 without a gap, and is found by it. Raises AssertionError."""
    count = sum(1 for _ in state.iterate(STORE, ACCOUNT_PREFIX, prefix_end(ACCOUNT_PREFIX)))
    numbered = [each.number for each in accounts(state)]
    if numbered != list(range(count)) or count != next_number(state):
        raise AssertionError(
            f"there are {count} accounts, but the numbers {numbered[:100]} and next {next_number(state)}"
        )
