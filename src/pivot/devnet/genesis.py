"""The genesis of a devnet: its hosts sign from block 1, its developer and gateway accounts hold coins."""

import base64
import time
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from pivot.devnet.plan import MODEL, HostPlan, Plan
from pivot.node.engine_home import genesis_document
from pivot.primitives.addresses import of_module
from pivot.primitives.coins import BASE_DENOM, NGONKA_PER_GONKA
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import Model, Participant, ParticipantStatus
from pivot.protocol.governance import gov_params
from pivot.protocol.parameters import preset_genesis_only_params, preset_params

TOTAL_SUPPLY = 10**9 * NGONKA_PER_GONKA
REWARDS_SUPPLY = 680 * 10**6 * NGONKA_PER_GONKA
DEVELOPER_COINS = 10**6 * NGONKA_PER_GONKA
GATEWAY_COINS = 10**5 * NGONKA_PER_GONKA
HOST_COINS = 10**3 * NGONKA_PER_GONKA
GENESIS_WEIGHT = 10
REWARDS_ACCOUNT = "rewards"
COMMUNITY_POOL = "distribution"
CONTEXT_WINDOW = 1024
SLASHING = {
    "signed_blocks_window": "3000",
    "min_signed_per_window": "0.500000000000000000",
    "downtime_jail_duration": "10s",
    "slash_fraction_double_sign": "0.050000000000000000",
    "slash_fraction_downtime": "0.010000000000000000",
}
"""Blocks take a fifth of a second: the published window would jail a host whose engine stands still for ten."""


def build_genesis(plan: Plan, consensus_keys: Sequence[bytes]) -> dict[str, Any]:
    """The genesis document; `consensus_keys` are the hosts' engine keys, in the plan's order."""
    balances = {of_module(REWARDS_ACCOUNT): REWARDS_SUPPLY, plan.developer_address: DEVELOPER_COINS}
    for host in plan.hosts:
        balances[host.address] = HOST_COINS
        balances[PrivateKey.from_hex(host.gateway_key).address] = GATEWAY_COINS
    balances[of_module(COMMUNITY_POOL)] = TOTAL_SUPPLY - sum(balances.values())
    state = GenesisState(
        params=preset_params(plan.preset),
        genesis_only_params=preset_genesis_only_params(plan.preset),
        model_list=[Model(id=MODEL, proposed_by="genesis", context_window=CONTEXT_WINDOW)],
        participants=[
            GenesisParticipant(participant=_participant(host, key), weight=GENESIS_WEIGHT)
            for host, key in zip(plan.hosts, consensus_keys, strict=True)
        ],
    )
    app_state = {
        "auth": {"accounts": []},
        "bank": {
            "balances": [
                {"address": address, "coins": [{"denom": BASE_DENOM, "amount": str(amount)}]}
                for address, amount in sorted(balances.items())
            ],
            "supply": [{"denom": BASE_DENOM, "amount": str(TOTAL_SUPPLY)}],
        },
        "slashing": {"params": SLASHING},
        "gov": {"params": json_format.MessageToDict(gov_params(plan.preset), preserving_proto_field_name=True)},
        "inference": json_format.MessageToDict(state, preserving_proto_field_name=True),
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return genesis_document(plan.chain_id, now, dict.fromkeys(consensus_keys, GENESIS_WEIGHT), app_state)


def _participant(host: HostPlan, consensus_key: bytes) -> Participant:
    return Participant(
        index=host.address,
        address=host.address,
        inference_url=host.public_url,
        status=ParticipantStatus.ACTIVE,
        validator_key=base64.b64encode(consensus_key).decode(),
        account_public_key=PrivateKey.from_hex(host.account_key).public_key,
        gateway_address=PrivateKey.from_hex(host.gateway_key).address,
    )
