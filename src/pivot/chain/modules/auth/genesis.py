"""The first accounts."""

from typing import Any

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from google.protobuf import json_format

from pivot.chain.modules.auth.state import ensure_account, set_public_key
from pivot.chain.modules.vesting.genesis import ACCOUNT_TYPES as VESTING_TYPES
from pivot.chain.modules.vesting.genesis import load_account
from pivot.chain.types import Block

ACCOUNT_TYPE = "/cosmos.auth.v1beta1.BaseAccount"


def load(block: Block, document: dict[str, Any]) -> None:
    """Make the accounts of the genesis file, in its order, which gives them their numbers.

    Raises ValueError for an account of another type, SdkError for a key that is not the address's.
    """
    for entry in document.get("accounts", []):
        published = _base_account(block, entry)
        ensure_account(block.state, published.address)
        if published.HasField("pub_key"):
            set_public_key(block.state, published.address, PubKey.FromString(published.pub_key.value).key)


def _base_account(block: Block, entry: dict[str, Any]) -> BaseAccount:
    """What every account has; what a vesting account locks is taken on the way."""
    fields = dict(entry)
    kind = fields.pop("@type", ACCOUNT_TYPE)
    if kind in VESTING_TYPES:
        return load_account(block, entry)
    if kind != ACCOUNT_TYPE:
        raise ValueError(f"the genesis holds an account of the type {kind!r}")
    return json_format.ParseDict(fields, BaseAccount())
