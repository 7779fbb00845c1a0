"""Whose consensus key is whose (design, decision 2).

A key belongs to one participant from the moment it asks for it. A new key takes force at the next switch of epochs; the
old one stays its owner's for as long as evidence against it can come, so that a double signer is still found.

    PendingConsensusKey/value/<address>/                       the participant has asked for another key
    RetiredConsensusKey/value/<height, 8 bytes>/<20 bytes>/    a key that is not in use since this height: the block's time (8 bytes)
"""

import base64
from itertools import islice

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.params.state import TIME_BYTES, consensus_params
from pivot.chain.modules.participants.state import (
    HEIGHT_BYTES,
    STORE,
    by_consensus_address,
    consensus_address_key,
    put,
    require_participant,
)
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Block
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from pivot.protocol.transactions import NANOSECONDS

EVIDENCE_AGE_BLOCKS = 100_000
"""Blocks for which a retired key is kept at least: the engine's usual `max_age_num_blocks`."""
FORGOTTEN_PER_BLOCK = 100
"""Retired keys that one block may forget."""

PENDING = b"PendingConsensusKey/value/"
RETIRED = b"RetiredConsensusKey/value/"
_MARK = b"\x01"
_IN_USE = 0


def consensus_key(record: Participant) -> bytes:
    """The participant's ed25519 consensus key in force, 32 bytes; empty for a consumer."""
    return base64.b64decode(record.validator_key)


def claim_key(block: Block, record: Participant, key: bytes, *, serves: bool) -> None:
    """Make `key` (32 bytes) the participant's: its first one at once, a new one from the next switch.

    Whoever does not serve, now or after the next switch, gets a new one at once as well: no power rests on it, and a crowd of
    such participants could else make the block of the switch as long as it likes. Asking for the key in force takes back a
    rotation. Changes `record`, which the caller writes. Raises NetworkError (CONSENSUS_KEY_TAKEN).
    """
    owner = by_consensus_address(block.state, consensus_address(key))
    if owner not in (None, record.address):
        raise NetworkError(NetworkCode.CONSENSUS_KEY_TAKEN, f"validator_key belongs to {owner}")
    encoded = base64.b64encode(key).decode()
    if record.next_validator_key not in ("", encoded):
        _retire(block, record.address, record.next_validator_key)
    block.state.delete(STORE, _pending_key(record.address))
    record.ClearField("next_validator_key")
    _write_owner(block, key, _IN_USE, record.address)
    if not record.validator_key:
        record.validator_key = encoded
    elif record.validator_key != encoded and not serves:
        _rotate(block, record, encoded)
    elif record.validator_key != encoded:
        record.next_validator_key = encoded
        block.state.set(STORE, _pending_key(record.address), _MARK)


def apply_rotations(block: Block) -> None:
    """At a switch: every key that was asked for takes force, and the one before it retires."""
    for row, _ in block.state.iterate(STORE, PENDING, prefix_end(PENDING)):
        record = require_participant(block.state, row[len(PENDING) : -1].decode())
        block.state.delete(STORE, row)
        _rotate(block, record, record.next_validator_key)
        record.ClearField("next_validator_key")
        put(block.state, record)


def prune(block: Block) -> None:
    """Free keys that retired longer ago than evidence can reach; called in every block, it goes on where it stopped.

    The engine accepts evidence until both its blocks and its time have passed, so both must have.
    """
    limits = consensus_params(block.state).evidence
    end = RETIRED + max(block.height - max(EVIDENCE_AGE_BLOCKS, limits.max_age_num_blocks), 0).to_bytes(HEIGHT_BYTES)
    latest = block.time - limits.max_age_duration.seconds * NANOSECONDS
    for row, retired_at in islice(block.state.iterate(STORE, RETIRED, end), FORGOTTEN_PER_BLOCK):
        if int.from_bytes(retired_at) > latest:
            return
        block.state.delete(STORE, row)
        height, address20 = _split_retired_key(row)
        owner = block.state.get(STORE, consensus_address_key(address20))
        if owner is not None and owner[:HEIGHT_BYTES] == height:  # otherwise it came into use again meanwhile
            block.state.delete(STORE, consensus_address_key(address20))


def _rotate(block: Block, record: Participant, encoded: str) -> None:
    """Let a key take force and the one before it retire. Changes `record`."""
    _retire(block, record.address, record.validator_key)
    record.validator_key = encoded
    block.emit("consensus_key_rotated", participant=record.address, validator_key=encoded)


def _retire(block: Block, owner: str, encoded: str) -> None:
    key = base64.b64decode(encoded)
    _write_owner(block, key, block.height, owner)
    block.state.set(STORE, _retired_key(block.height, consensus_address(key)), block.time.to_bytes(TIME_BYTES))


def _write_owner(block: Block, key: bytes, retired_at: int, owner: str) -> None:
    row = consensus_address_key(consensus_address(key))
    block.state.set(STORE, row, retired_at.to_bytes(HEIGHT_BYTES) + owner.encode())


def _pending_key(address: str) -> bytes:
    return PENDING + address.encode() + b"/"


def _retired_key(height: int, address20: bytes) -> bytes:
    return RETIRED + height.to_bytes(HEIGHT_BYTES) + b"/" + address20 + b"/"


def _split_retired_key(row: bytes) -> tuple[bytes, bytes]:
    """(height as it stands in the key, consensus address)."""
    start = len(RETIRED)
    return row[start : start + HEIGHT_BYTES], row[start + HEIGHT_BYTES + 1 : -1]
