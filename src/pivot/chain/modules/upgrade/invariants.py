"""What holds after every block."""

from pivot.chain.modules.upgrade.state import applied, last_applied, plan
from pivot.chain.types import Reader


def check_plans(state: Reader) -> None:
    """No plan is applied twice: what is scheduled is new and lies ahead of the last one applied. Raises AssertionError."""
    heights = dict(applied(state))
    last = last_applied(state)
    latest = max(heights.values(), default=0)
    if heights.get(last, 0) != latest or bool(last) != bool(heights):
        raise AssertionError(f"{last!r} is the last plan applied, but the plans' heights are {heights}")
    scheduled = plan(state)
    if scheduled is not None and (scheduled.name in heights or scheduled.height <= latest):
        raise AssertionError(f"{scheduled.name!r} is scheduled for {scheduled.height}, applied are {heights}")
