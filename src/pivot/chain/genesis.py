"""The first state: each module takes its part of the genesis file's `app_state`.

There are two kinds of genesis. A *ceremony's* has the section `inference`: the parameters, models and participants with whom a network
begins. An *export* has the whole state of a chain at one height instead. Both have sections, each for one module: the standard Cosmos
modules' in their published shape, ours under the module's name. Of a module's `genesis.py`

    begin(block, network)          makes the first rows out of the ceremony's part
    load(block, section)           takes the module's section
    export(state) -> section       gives the section that `load` turns into the same rows
"""

import json
from typing import Any, Protocol

from google.protobuf import json_format
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.modules.auth import genesis as auth
from pivot.chain.modules.authz import genesis as authz
from pivot.chain.modules.bank import genesis as bank
from pivot.chain.modules.collateral import genesis as collateral
from pivot.chain.modules.disputes import genesis as disputes
from pivot.chain.modules.epochs import genesis as epochs
from pivot.chain.modules.evidence import genesis as evidence
from pivot.chain.modules.feegrant import genesis as feegrant
from pivot.chain.modules.gov import genesis as gov
from pivot.chain.modules.inferences import genesis as inferences
from pivot.chain.modules.members import genesis as members
from pivot.chain.modules.models import genesis as models
from pivot.chain.modules.params import genesis as params
from pivot.chain.modules.params.state import name_chain, note_block_time, set_consensus_params
from pivot.chain.modules.partial_upgrades import genesis as partial_upgrades
from pivot.chain.modules.participants import genesis as participants
from pivot.chain.modules.poc import genesis as poc
from pivot.chain.modules.pricing import genesis as pricing
from pivot.chain.modules.randomness import genesis as randomness
from pivot.chain.modules.restrictions import genesis as restrictions
from pivot.chain.modules.rewards import genesis as rewards
from pivot.chain.modules.slashing import genesis as slashing
from pivot.chain.modules.staking import genesis as staking
from pivot.chain.modules.statistics import genesis as statistics
from pivot.chain.modules.status import genesis as status
from pivot.chain.modules.streamvesting import genesis as streamvesting
from pivot.chain.modules.training import genesis as training
from pivot.chain.modules.upgrade import genesis as upgrade
from pivot.chain.modules.validation import genesis as validation
from pivot.chain.modules.validators import genesis as validators
from pivot.chain.types import Block, Reader
from pivot.primitives.canonical_json import dumps
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState

CEREMONY = "inference"
"""The section of a ceremony; an export has none."""


class Section(Protocol):
    """What a module's `genesis.py` has if it has a section of its own."""

    def load(self, block: Block, document: dict[str, Any]) -> None: ...

    def export(self, state: Reader) -> dict[str, Any]: ...


SECTIONS: dict[str, Section] = {
    "params": params,
    "models": models,
    "auth": auth,
    "bank": bank,
    "authz": authz,
    "feegrant": feegrant,
    "gov": gov,
    "epochs": epochs,
    "pricing": pricing,
    "restrictions": restrictions,
    "rewards": rewards,
    "statistics": statistics,
    "streamvesting": streamvesting,
    "partial_upgrades": partial_upgrades,
    "upgrade": upgrade,
    "members": members,
    "participants": participants,
    "status": status,
    "randomness": randomness,
    "inferences": inferences,
    "validation": validation,
    "disputes": disputes,
    "poc": poc,
    "slashing": slashing,
    "evidence": evidence,
    "collateral": collateral,
    "staking": staking,
    "training": training,
}
"""By name, in the order in which they are loaded: a module comes after those that its `load` calls."""


def genesis_hash(app_state: bytes) -> bytes:
    """SHA-256 of the state as canonical JSON, whatever spaces and order the file has."""
    return sha256(dumps(json.loads(app_state)))


def load_genesis(block: Block, app_state: bytes, consensus_params: ConsensusParams) -> None:
    """Make the first state out of the genesis file. Raises what its modules raise: a chain does not start with faults."""
    document: dict[str, Any] = json.loads(app_state)
    if strange := sorted(document.keys() - SECTIONS.keys() - {CEREMONY}):
        raise ValueError(f"the genesis has sections that no module takes: {', '.join(strange)}")
    name_chain(block.state, block.chain_id, genesis_hash(app_state))
    note_block_time(block.state, block.time)
    set_consensus_params(block.state, consensus_params)
    network = None
    if CEREMONY in document:
        network = json_format.ParseDict(document[CEREMONY], GenesisState())
        params.begin(block, network)
    for name, module in SECTIONS.items():
        if name in document:
            module.load(block, document[name])
    if network is not None:
        _begin(block, network)


def export_genesis(state: Reader) -> dict[str, Any]:
    """The `app_state` out of which `load_genesis` makes this state again, for a chain that goes on at the next height.

    Chain id, genesis hash, consensus parameters and time are not in it: they come with the chain that begins. Costs grow
    with the whole state.
    """
    return {name: module.export(state) for name, module in SECTIONS.items()}


def _begin(block: Block, network: GenesisState) -> None:
    """The network's own part of a ceremony, after accounts and coins."""
    if block.height:
        raise ValueError(f"the genesis begins at height {block.height + 1}; a new network's begins at 1")
    models.begin(block, network)
    participants.begin(block, network)
    epochs.begin(block, network)
    members.begin(block, network)
    validators.begin(block, network)
