"""Accounts in a genesis file, and the unordered transactions that may not come again."""

from dataclasses import replace
from typing import Any

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount, ModuleAccount
from google.protobuf import json_format

from pivot.chain.modules.auth.published import shown
from pivot.chain.modules.auth.state import (
    Account,
    account_of,
    accounts,
    check_multisig,
    check_public_key,
    ensure_account,
    nonces,
    note_nonce,
    put,
)
from pivot.chain.modules.vesting.genesis import ACCOUNT_TYPES as VESTING_TYPES
from pivot.chain.modules.vesting.genesis import load_account
from pivot.chain.types import Block, Reader

ACCOUNT_TYPE = "/cosmos.auth.v1beta1.BaseAccount"
MODULE_TYPE = "/cosmos.auth.v1beta1.ModuleAccount"


def load(block: Block, document: dict[str, Any]) -> None:
    """Make the accounts of the genesis file, in its order, which gives them their numbers.

    Raises ValueError for an account of another type, SdkError for a key that is not the address's.
    """
    for entry in document.get("accounts", []):
        described = _with_checked_key(account_of(_base_account(block, entry)))
        number = ensure_account(block.state, described.address).number
        put(block.state, replace(described, number=number))
    for entry in document.get("unordered", []):
        note_nonce(block.state, entry["address"], int(entry["timeout_ns"]))


def export(state: Reader) -> dict[str, Any]:
    """All accounts in the order of their numbers, as `load` takes them."""
    return {
        "accounts": [
            json_format.MessageToDict(shown(state, each), preserving_proto_field_name=True) for each in accounts(state)
        ],
        "unordered": [{"address": address, "timeout_ns": str(timeout)} for address, timeout in nonces(state)],
    }


def _with_checked_key(described: Account) -> Account:
    if described.public_key:
        check_public_key(described.address, described.public_key)
    if described.multisig:
        return replace(described, multisig=check_multisig(described.address, described.multisig))
    return described


def _base_account(block: Block, entry: dict[str, Any]) -> BaseAccount:
    """What every account has; what a vesting account locks is taken on the way."""
    fields = dict(entry)
    kind = fields.pop("@type", ACCOUNT_TYPE)
    if kind in VESTING_TYPES:
        return load_account(block, entry)
    if kind == MODULE_TYPE:
        return json_format.ParseDict(fields, ModuleAccount()).base_account
    if kind != ACCOUNT_TYPE:
        raise ValueError(f"the genesis holds an account of the type {kind!r}")
    return json_format.ParseDict(fields, BaseAccount())
