"""What holds after every block."""

from pivot.chain.modules.bank.state import STREAMVESTING, balance
from pivot.chain.modules.streamvesting.state import schedules
from pivot.chain.types import Reader


def check_schedules(state: Reader) -> None:
    """The module's account holds what all schedules promise, to the last coin. Raises AssertionError."""
    promised = sum(found.total for _, found in schedules(state))
    held = balance(state, STREAMVESTING)
    if held != promised:
        raise AssertionError(f"{STREAMVESTING} holds {held}, but its schedules promise {promised}")
