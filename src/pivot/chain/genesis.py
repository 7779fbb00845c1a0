"""The first state: each module takes its part of the genesis file's `app_state`."""

import json
from typing import Any

from google.protobuf import json_format
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.modules.auth import genesis as auth
from pivot.chain.modules.bank import genesis as bank
from pivot.chain.modules.epochs import genesis as epochs
from pivot.chain.modules.members import genesis as members
from pivot.chain.modules.models import genesis as models
from pivot.chain.modules.params import genesis as params
from pivot.chain.modules.params.state import name_chain, note_block_time, set_consensus_params
from pivot.chain.modules.participants import genesis as participants
from pivot.chain.modules.validators import genesis as validators
from pivot.chain.types import Block
from pivot.primitives.canonical_json import dumps
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState


def genesis_hash(app_state: bytes) -> bytes:
    """SHA-256 of the state as canonical JSON, whatever spaces and order the file has."""
    return sha256(dumps(json.loads(app_state)))


def load_genesis(block: Block, app_state: bytes, consensus_params: ConsensusParams) -> None:
    """Make the first state out of the genesis file. Raises what its modules raise: a chain does not start with faults."""
    document: dict[str, Any] = json.loads(app_state)
    name_chain(block.state, block.chain_id, genesis_hash(app_state))
    note_block_time(block.state, block.time)
    set_consensus_params(block.state, consensus_params)
    network = json_format.ParseDict(document["inference"], GenesisState())
    params.load(block, network)
    auth.load(block, document.get("auth", {}))
    bank.load(block, document.get("bank", {}))
    models.load(block, network)
    participants.load(block, network)
    epochs.load(block, network)
    members.load(block, network)
    validators.load(block, network)
