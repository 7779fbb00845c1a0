"""What holds after every block."""

from pivot.chain.modules.bank.state import REWARDS, balance
from pivot.chain.modules.rewards.state import settlement
from pivot.chain.types import Reader


def check_rewards(state: Reader) -> None:
    """The settlement under way gives no more than its reward, and the account holds what is left of it. Raises AssertionError."""
    under_way = settlement(state)
    if under_way is None:
        return
    left = under_way.reward - under_way.shared
    held = balance(state, REWARDS)
    if not 0 <= left <= held:
        raise AssertionError(
            f"{left} of the reward of epoch {under_way.epoch_index} is left, but {REWARDS} holds {held}"
        )
