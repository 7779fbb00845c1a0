"""The genesis document before anybody has signed: parameters, models, and coins that add up to the whole supply."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from pivot.node.ceremony.errors import CeremonyError
from pivot.node.engine_home import genesis_document
from pivot.primitives.addresses import InvalidAddress, from_public_key, of_module, require
from pivot.primitives.coins import BASE_DENOM, NGONKA_PER_GONKA
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.governance import gov_params
from pivot.protocol.parameters import InvalidParameters, preset_genesis_only_params, preset_params

TOTAL_SUPPLY = 10**9 * NGONKA_PER_GONKA
REWARDS_SUPPLY = 680 * 10**6 * NGONKA_PER_GONKA
REWARDS_ACCOUNT = of_module("rewards")
COMMUNITY_POOL = of_module("distribution")
MAX_CHAIN_ID = 50
"""The engine's own limit, in characters."""


def new_genesis(chain_id: str, preset: str, models: Mapping[str, int], genesis_time: str) -> dict[str, Any]:
    """A document without hosts. `models`: id to context window in tokens; `genesis_time` in RFC 3339.

    What is neither for rewards nor given to an account belongs to the community pool. Raises CeremonyError.
    """
    if not 0 < len(chain_id) <= MAX_CHAIN_ID:
        raise CeremonyError(f"a chain's name has 1 to {MAX_CHAIN_ID} characters")
    try:
        params, for_good = preset_params(preset), preset_genesis_only_params(preset)
    except InvalidParameters as error:
        raise CeremonyError(str(error)) from error
    listed = [Model(id=name, proposed_by="genesis", context_window=window) for name, window in models.items()]
    balances = {REWARDS_ACCOUNT: REWARDS_SUPPLY, COMMUNITY_POOL: TOTAL_SUPPLY - REWARDS_SUPPLY}
    network = GenesisState(params=params, genesis_only_params=for_good, model_list=listed)
    app_state = {
        "auth": {"accounts": []},
        "bank": {
            "balances": [_balance(address, amount) for address, amount in sorted(balances.items())],
            "supply": [{"denom": BASE_DENOM, "amount": str(TOTAL_SUPPLY)}],
        },
        "gov": {"params": json_format.MessageToDict(gov_params(preset), preserving_proto_field_name=True)},
        "inference": json_format.MessageToDict(network, preserving_proto_field_name=True),
    }
    return genesis_document(chain_id, genesis_time, {}, app_state)


def add_account(document: dict[str, Any], address: str, amount: int, public_key: bytes = b"") -> None:
    """Give an account its first coins (ngonka), out of the community pool. Raises CeremonyError.

    With its public key (33 bytes) the account can sign before it has ever sent anything.
    """
    try:
        require(address)
    except InvalidAddress as error:
        raise CeremonyError(str(error)) from error
    if public_key and from_public_key(public_key) != address:
        raise CeremonyError(f"the public key is not that of {address}")
    balances = document["app_state"]["bank"]["balances"]
    if any(entry["address"] == address for entry in balances):
        raise CeremonyError(f"{address} has coins already")
    pool = next(entry for entry in balances if entry["address"] == COMMUNITY_POOL)
    left = int(pool["coins"][0]["amount"]) - amount
    if left <= 0 or amount <= 0:
        raise CeremonyError(
            f"{amount}{BASE_DENOM} cannot be given: the community pool has {left + amount}{BASE_DENOM}, and keeps some"
        )
    pool["coins"][0]["amount"] = str(left)
    balances.append(_balance(address, amount))
    balances.sort(key=lambda entry: entry["address"])
    account: dict[str, Any] = {"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address}
    if public_key:
        key = base64.b64encode(public_key).decode()
        account["pub_key"] = {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": key}
    document["app_state"]["auth"]["accounts"].append(account)


def read_genesis(file: Path) -> dict[str, Any]:
    """A document of a ceremony. Raises CeremonyError."""
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        network, balances = document["app_state"]["inference"], document["app_state"]["bank"]["balances"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CeremonyError(f"{file} is no genesis document of a ceremony: {error or type(error).__name__}") from error
    if not isinstance(network, dict) or not isinstance(balances, list):
        raise CeremonyError(f"{file} is no genesis document of a ceremony")
    return document


def write_genesis(file: Path, document: dict[str, Any]) -> None:
    """Write a document for people and git to read, in one step."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    partial.replace(file)


def _balance(address: str, amount: int) -> dict[str, Any]:
    return {"address": address, "coins": [{"denom": BASE_DENOM, "amount": str(amount)}]}
