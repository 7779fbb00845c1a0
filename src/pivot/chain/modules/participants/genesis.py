"""The participants with whom the network begins, and all of them in an export."""

from typing import Any

from pivot.chain.modules.auth.state import set_public_key
from pivot.chain.modules.participants.consensus_keys import PENDING, RETIRED, claim_key, consensus_key
from pivot.chain.modules.participants.state import (
    CONSENSUS_ADDRESSES,
    HARDWARE,
    PARTICIPANTS,
    STATUS_REVISION,
    STORE,
    is_host,
    participant,
    put,
    put_hardware,
)
from pivot.chain.rows import Kinds, export_rows, load_rows
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import CONSENSUS_KEY_LENGTH, require
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNodes, Participant

_KINDS: Kinds = {
    "participants": (PARTICIPANTS, Participant),
    "hardware": (HARDWARE, HardwareNodes),
    "consensus_addresses": (CONSENSUS_ADDRESSES, None),
    "pending_consensus_keys": (PENDING, None),
    "retired_consensus_keys": (RETIRED, None),
    "status_revision": (STATUS_REVISION, None),
}


def begin(block: Block, document: GenesisState) -> None:
    """Write the genesis' participants and their hardware.

    Raises ValueError (an address, a participant or a key that cannot be), SdkError and NetworkError as registration does.
    """
    for entry in document.participants:
        record = Participant()
        record.CopyFrom(entry.participant)
        address = require(record.address)
        if not is_host(record) or len(consensus_key(record)) != CONSENSUS_KEY_LENGTH:
            raise ValueError(f"the genesis names {address} without inference_url or a consensus key of 32 bytes")
        if participant(block.state, address) is not None:
            raise ValueError(f"the genesis names {address} twice")
        if record.account_public_key:
            set_public_key(block.state, address, record.account_public_key)
        key = consensus_key(record)
        record.index = address
        record.ClearField("validator_key")
        claim_key(block, record, key, serves=True)
        put(block.state, record)
        entry.hardware_nodes.participant = address
        put_hardware(block.state, entry.hardware_nodes)


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of an export. Raises ValueError."""
    load_rows(block.state, STORE, _KINDS, document)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return export_rows(state, STORE, _KINDS)
