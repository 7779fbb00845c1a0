"""MsgCreateVestingAccount, MsgCreatePermanentLockedAccount, MsgCreatePeriodicVestingAccount: coins locked for somebody."""

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.vesting.v1beta1.tx_pb2 import (
    MsgCreatePeriodicVestingAccount,
    MsgCreatePeriodicVestingAccountResponse,
    MsgCreatePermanentLockedAccount,
    MsgCreatePermanentLockedAccountResponse,
    MsgCreateVestingAccount,
    MsgCreateVestingAccountResponse,
)
from cosmos.vesting.v1beta1.vesting_pb2 import (
    BaseVestingAccount,
    ContinuousVestingAccount,
    DelayedVestingAccount,
    PeriodicVestingAccount,
    PermanentLockedAccount,
)

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import account, check_address
from pivot.chain.modules.bank.messages import coin_amount
from pivot.chain.modules.restrictions.transfers import transfer
from pivot.chain.modules.vesting.schedules import VestingAccount
from pivot.chain.modules.vesting.state import put_vesting_account
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, MAX_AMOUNT
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.transactions import NANOSECONDS

GAS_OF_AN_ACCOUNT = 40_000
GAS_OF_A_PERIOD = 1_000
MAX_PERIODS = 500
LATEST_TIME = 253_402_300_799
"""The last second of the year 9999, Unix: no coins are locked until a later one."""


def _check_parties(message: MsgCreateVestingAccount | MsgCreatePermanentLockedAccount) -> None:
    check_address("from_address", message.from_address)
    check_address("to_address", message.to_address)
    coin_amount(message.amount)


def _check_vesting(message: MsgCreateVestingAccount) -> None:
    _check_parties(message)
    if not 0 < message.end_time <= LATEST_TIME:
        raise SdkError(SdkCode.INVALID_REQUEST, f"end_time is {message.end_time}, not 1 to {LATEST_TIME}")


def _create_vesting(block: Block, message: MsgCreateVestingAccount) -> MsgCreateVestingAccountResponse:
    """Lock coins until a time, all of them (`delayed`), or less with every second. Raises as `_create` does."""
    now = block.time // NANOSECONDS
    if message.end_time <= now:
        raise SdkError(SdkCode.INVALID_REQUEST, f"end_time {message.end_time} is not after the block's time {now}")
    base = _locking(coin_amount(message.amount), message.end_time)
    made: VestingAccount = (
        DelayedVestingAccount(base_vesting_account=base)
        if message.delayed
        else ContinuousVestingAccount(base_vesting_account=base, start_time=now)
    )
    _create(block, message.from_address, message.to_address, made)
    return MsgCreateVestingAccountResponse()


def _create_permanent(
    block: Block, message: MsgCreatePermanentLockedAccount
) -> MsgCreatePermanentLockedAccountResponse:
    """Lock coins for ever. Raises as `_create` does."""
    base = _locking(coin_amount(message.amount))
    made = PermanentLockedAccount(base_vesting_account=base)
    _create(block, message.from_address, message.to_address, made)
    return MsgCreatePermanentLockedAccountResponse()


def _check_periodic(message: MsgCreatePeriodicVestingAccount) -> None:
    check_address("from_address", message.from_address)
    check_address("to_address", message.to_address)
    if not 0 < message.start_time <= LATEST_TIME:
        raise SdkError(SdkCode.INVALID_REQUEST, f"start_time is {message.start_time}, not 1 to {LATEST_TIME}")
    periods = message.vesting_periods
    if not 0 < len(periods) <= MAX_PERIODS:
        raise SdkError(SdkCode.INVALID_REQUEST, f"vesting_periods: 1 to {MAX_PERIODS}, not {len(periods)}")
    for number, period in enumerate(periods):
        if not 0 < period.length <= MAX_INT64 // MAX_PERIODS:
            raise SdkError(SdkCode.INVALID_REQUEST, f"vesting_periods: length of number {number} is {period.length}")
    if _sum(message) > MAX_AMOUNT:
        raise SdkError(SdkCode.INVALID_COINS, f"vesting_periods: their coins are more than {MAX_AMOUNT}{BASE_DENOM}")
    if message.start_time + sum(period.length for period in periods) > LATEST_TIME:
        raise SdkError(SdkCode.INVALID_REQUEST, f"vesting_periods: they end after {LATEST_TIME}")


def _create_periodic(block: Block, message: MsgCreatePeriodicVestingAccount) -> MsgCreatePeriodicVestingAccountResponse:
    """Lock coins that are unlocked period by period. Raises as `_create` does."""
    end = message.start_time + sum(period.length for period in message.vesting_periods)
    made = PeriodicVestingAccount(
        base_vesting_account=_locking(_sum(message), end),
        start_time=message.start_time,
        vesting_periods=message.vesting_periods,
    )
    _create(block, message.from_address, message.to_address, made)
    return MsgCreatePeriodicVestingAccountResponse()


def _create(block: Block, source: str, target: str, made: VestingAccount) -> None:
    """Send the coins to an account that does not exist yet, and lock them there.

    Nobody's account can be turned into one whose coins are locked. Raises SdkError (INVALID_REQUEST) if there is one, and
    whatever a transfer is refused for.
    """
    if account(block.state, target) is not None:
        raise SdkError(SdkCode.INVALID_REQUEST, f"account {target} already exists: invalid request")
    (locked,) = made.base_vesting_account.original_vesting
    transfer(block, source, target, int(locked.amount))
    put_vesting_account(block.state, target, made)


def _locking(amount: int, end_time: int = 0) -> BaseVestingAccount:
    coins = [Coin(denom=BASE_DENOM, amount=str(amount))]
    return BaseVestingAccount(original_vesting=coins, end_time=end_time)


def _sum(message: MsgCreatePeriodicVestingAccount) -> int:
    return sum(coin_amount(period.amount, "vesting_periods.amount") for period in message.vesting_periods)


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgCreateVestingAccount, _create_vesting, gas=lambda _: GAS_OF_AN_ACCOUNT, check=_check_vesting),
    MessageHandler(
        MsgCreatePermanentLockedAccount, _create_permanent, gas=lambda _: GAS_OF_AN_ACCOUNT, check=_check_parties
    ),
    MessageHandler(
        MsgCreatePeriodicVestingAccount,
        _create_periodic,
        gas=lambda message: GAS_OF_AN_ACCOUNT + GAS_OF_A_PERIOD * len(message.vesting_periods),
        check=_check_periodic,
    ),
]
