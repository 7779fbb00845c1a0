"""The section `staking` of a genesis: validators in the Cosmos SDK's shape, for tools that read an export.

What a chain goes on with stands beside it in lists of our own: members with their keys, the powers that the engine was
told, and which keys are proven.
"""

import base64
from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.staking.validator import published
from pivot.chain.modules.validators.genesis import restore
from pivot.chain.modules.validators.state import all_proven, last_powers, members, seen_revisions, unproven
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import consensus_text, of_consensus_text, operator, require


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the section; the block's updates are the set that the engine was told last.

    Raises ValueError, InvalidAddress for what cannot be.
    """
    restore(
        block,
        members=[
            (require(each["address"]), base64.b64decode(each["validator_key"])) for each in document.get("members", [])
        ],
        powers={base64.b64decode(each["validator_key"]): int(each["power"]) for each in document.get("powers", [])},
        proven=[of_consensus_text(each) for each in document.get("proven", [])],
        unproven=[
            (of_consensus_text(each["address"]), int(each["seen"]), int(each["signed"]))
            for each in document.get("unproven", [])
        ],
        seen=bytes.fromhex(document.get("seen_revisions", "")),
    )


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    listed = list(members(state))
    told = last_powers(state)
    return {
        "last_total_power": str(sum(told.values())),
        "last_validator_powers": [
            {"address": operator(address), "power": str(told[key])} for address, key, _ in listed if key in told
        ],
        "validators": [
            json_format.MessageToDict(
                published(state, address, key),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for address, key, _ in listed
        ],
        "delegations": [],
        "unbonding_delegations": [],
        "redelegations": [],
        "exported": True,
        "members": [{"address": address, "validator_key": _text(key)} for address, key, _ in listed],
        "powers": [{"validator_key": _text(key), "power": str(power)} for key, power in told.items()],
        "proven": [consensus_text(address20) for address20 in all_proven(state)],
        "unproven": [
            {"address": consensus_text(address20), "seen": str(seen), "signed": str(signed)}
            for address20, seen, signed in unproven(state)
        ],
        "seen_revisions": seen_revisions(state).hex(),
    }


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
