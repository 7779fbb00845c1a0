"""Rows of vesting accounts in the store `acc`. Number, sequence and key of such an account stand where every account's do.

0x04 ‖ address      its published form in an Any, without the base account
"""

from functools import lru_cache

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.vesting.v1beta1.vesting_pb2 import (
    ContinuousVestingAccount,
    DelayedVestingAccount,
    PeriodicVestingAccount,
    PermanentLockedAccount,
)
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.modules.params.state import block_time
from pivot.chain.modules.vesting.schedules import VestingAccount, locked_at
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import to_bytes
from pivot.protocol.messages import pack, type_url
from pivot.protocol.transactions import NANOSECONDS

STORE = "acc"
VESTING_PREFIX = b"\x04"
CACHED_ACCOUNTS = 256
"""Rows of which a process remembers what is locked; each may have 20 kB."""
TYPES: dict[str, type[VestingAccount]] = {
    type_url(kind): kind
    for kind in (ContinuousVestingAccount, DelayedVestingAccount, PeriodicVestingAccount, PermanentLockedAccount)
}
"""Type URL to type of the four kinds of vesting accounts."""


def vesting_account(reader: Reader, address: str) -> VestingAccount | None:
    """What is locked in an account, without its base account; None for an account in which nothing ever was."""
    row = reader.get(STORE, _key(address))
    return None if row is None else _decoded(row)


def locked(reader: Reader, address: str) -> int:
    """ngonka that an address cannot spend in the block under way. `bank` asks it before coins move."""
    row = reader.get(STORE, _key(address))
    return 0 if row is None else _locked_at(row, block_time(reader) // NANOSECONDS)


def published_vesting(reader: Reader, base: BaseAccount) -> VestingAccount | None:
    """A vesting account as clients read it, with its base account; None for any other account."""
    account = vesting_account(reader, base.address)
    if account is not None:
        account.base_vesting_account.base_account.CopyFrom(base)
    return account


def put_vesting_account(state: State, address: str, account: VestingAccount) -> None:
    """Write what is locked in an account; its base account is left out."""
    stripped = type(account).FromString(account.SerializeToString())
    stripped.base_vesting_account.ClearField("base_account")
    state.set(STORE, _key(address), pack(stripped).SerializeToString(deterministic=True))


@lru_cache(maxsize=CACHED_ACCOUNTS)
def _locked_at(row: bytes, seconds: int) -> int:
    """Counted once per account and block: an account may have hundreds of periods, and send to hundreds at once."""
    return locked_at(_decoded(row), seconds)


def _decoded(row: bytes) -> VestingAccount:
    packed = AnyMessage.FromString(row)
    return TYPES[packed.type_url].FromString(packed.value)


def _key(address: str) -> bytes:
    return VESTING_PREFIX + to_bytes(address)
