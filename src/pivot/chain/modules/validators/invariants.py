"""What holds after every block."""

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.validators.powers import MAX_TOTAL_POWER
from pivot.chain.modules.validators.state import in_good_standing, is_proven, last_powers
from pivot.chain.types import Reader


def check_powers(state: Reader) -> None:
    """All power is positive and at most 2^50, and unproven keys hold their share at most. Raises AssertionError.

    The share is not looked at while nobody is in good standing: the engine then goes on with the set that it has.
    """
    told = last_powers(state)
    total = sum(told.values())
    if total > MAX_TOTAL_POWER or any(power <= 0 for power in told.values()):
        raise AssertionError(f"validators hold {total} power in {len(told)} parts")
    unproven = sum(power for key, power in told.items() if not is_proven(state, key))
    percent = effective(state).params.consensus_power_params.unproven_percent
    standing = any(in_good_standing(state))
    if standing and unproven != total and unproven * 100 > total * percent:
        raise AssertionError(f"unproven keys hold {unproven} of {total} power")
