"""How much of a vesting account is still locked: a pure function of the account and of the block's time.

Whole coins only: where a share has to be rounded, what is unlocked is rounded down.
"""

from collections.abc import Sequence

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.vesting.v1beta1.vesting_pb2 import (
    ContinuousVestingAccount,
    DelayedVestingAccount,
    PeriodicVestingAccount,
    PermanentLockedAccount,
)

VestingAccount = ContinuousVestingAccount | DelayedVestingAccount | PeriodicVestingAccount | PermanentLockedAccount


def locked_at(account: VestingAccount, seconds: int) -> int:
    """ngonka of the account that cannot be spent at this time (Unix seconds)."""
    original = amount_of(account.base_vesting_account.original_vesting)
    if isinstance(account, PermanentLockedAccount):
        return original
    end = account.base_vesting_account.end_time
    if isinstance(account, DelayedVestingAccount):
        return original if seconds < end else 0
    if isinstance(account, ContinuousVestingAccount):
        if seconds <= account.start_time:
            return original
        if seconds >= end:
            return 0
        return original - original * (seconds - account.start_time) // (end - account.start_time)
    return original - _unlocked_periods(account, seconds)


def amount_of(coins: Sequence[Coin]) -> int:
    """ngonka of a list of coins, which has the network's one coin or none."""
    return sum(int(coin.amount) for coin in coins)


def _unlocked_periods(account: PeriodicVestingAccount, seconds: int) -> int:
    """ngonka of the periods that have ended."""
    unlocked, ends = 0, account.start_time
    for period in account.vesting_periods:
        ends += period.length
        if seconds < ends:
            break
        unlocked += amount_of(period.amount)
    return unlocked
