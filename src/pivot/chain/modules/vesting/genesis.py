"""Vesting accounts of a genesis: they stand among the accounts of the section `auth`, with a type of their own."""

from typing import Any

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from google.protobuf import json_format

from pivot.chain.modules.vesting.schedules import VestingAccount, amount_of
from pivot.chain.modules.vesting.state import TYPES, put_vesting_account
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, MAX_AMOUNT

ACCOUNT_TYPES = frozenset(TYPES)
"""`@type` of the entries that `load_account` takes."""


def load_account(block: Block, entry: dict[str, Any]) -> BaseAccount:
    """Lock what a vesting account of the genesis locks. Returns its base account, which `auth` takes.

    Raises ValueError for other coins than the network's, and for coins that are delegated: there is nothing to delegate to.
    """
    fields = dict(entry)
    account = json_format.ParseDict(fields, TYPES[fields.pop("@type")]())
    base: BaseAccount = account.base_vesting_account.base_account
    _check(account, base.address)
    put_vesting_account(block.state, base.address, account)
    return base


def _check(account: VestingAccount, address: str) -> None:
    vesting = account.base_vesting_account
    if vesting.delegated_free or vesting.delegated_vesting:
        raise ValueError(f"the genesis' vesting account {address} has delegated coins, but none can be delegated")
    if any(coin.denom != BASE_DENOM for coin in vesting.original_vesting):
        raise ValueError(f"the genesis' vesting account {address} locks another coin than {BASE_DENOM}")
    if not 0 < amount_of(vesting.original_vesting) <= MAX_AMOUNT:
        raise ValueError(f"the genesis' vesting account {address} locks no amount between 1 and {MAX_AMOUNT}")
