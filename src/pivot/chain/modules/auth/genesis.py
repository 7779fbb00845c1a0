"""The first accounts."""

from typing import Any

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from google.protobuf import json_format

from pivot.chain.modules.auth.state import ensure_account, set_public_key
from pivot.chain.types import Block

ACCOUNT_TYPE = "/cosmos.auth.v1beta1.BaseAccount"


def load(block: Block, document: dict[str, Any]) -> None:
    """Make the accounts of the genesis file, in its order, which gives them their numbers.

    Raises ValueError for an account of another type, SdkError for a key that is not the address's.
    """
    for entry in document.get("accounts", []):
        fields = dict(entry)
        if fields.pop("@type", ACCOUNT_TYPE) != ACCOUNT_TYPE:
            raise ValueError(f"the genesis holds an account of the type {entry['@type']!r}")
        published = json_format.ParseDict(fields, BaseAccount())
        ensure_account(block.state, published.address)
        if published.HasField("pub_key"):
            set_public_key(block.state, published.address, PubKey.FromString(published.pub_key.value).key)
