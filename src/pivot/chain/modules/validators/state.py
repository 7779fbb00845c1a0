"""Consensus keys of the members, what they have signed, and the set that the engine was last told.

Rows of the store `staking`:

    Member/<key, 32 bytes>         weight (8 bytes, big-endian), address
    Power/<key, 32 bytes>          power that the engine was last told (8 bytes)
    Proven/<20 bytes>              this consensus address has signed half of a window once
    Unproven/<20 bytes>            blocks seen and blocks signed in the window under way (8 bytes each)
    Seen                           status revision at the last change; absent while the members have changed since
"""

import struct
from collections.abc import Iterator, Sequence

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.participants.state import by_consensus_address, participant, status_revision
from pivot.chain.modules.validators.powers import Candidate, powers
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader, ValidatorUpdate
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference.params_pb2 import ConsensusPowerParams
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus

STORE = "staking"
MEMBERS = b"Member/"
POWERS = b"Power/"
PROVEN = b"Proven/"
UNPROVEN = b"Unproven/"
SEEN = b"Seen"
_MARK = b"\x01"
_NUMBER_BYTES = 8
_WINDOW = struct.Struct(">QQ")


def set_members(block: Block, members: Sequence[tuple[str, bytes, int]]) -> None:
    """Replace the members (address, consensus key, weight above 0) that may hold power.

    The engine is told by `process_updates`, in the same block.
    """
    rows = {MEMBERS + key: weight.to_bytes(_NUMBER_BYTES) + address.encode() for address, key, weight in members}
    for row, _ in block.state.iterate(STORE, MEMBERS, prefix_end(MEMBERS)):
        if row not in rows:
            block.state.delete(STORE, row)
    for row, value in rows.items():
        block.state.set(STORE, row, value)
    block.state.delete(STORE, SEEN)


def note_signatures(block: Block) -> None:
    """Count which of the unproven keys signed the last block. One that signs half of a window is proven for good."""
    signed = {vote.address: vote.signed for vote in block.last_commit}
    window = _params(block.state).proof_window
    for row, value in block.state.iterate(STORE, UNPROVEN, prefix_end(UNPROVEN)):
        address20 = row[len(UNPROVEN) :]
        if address20 not in signed:  # the engine has not let it in yet
            continue
        seen, own = _WINDOW.unpack(value)
        seen, own = seen + 1, own + signed[address20]
        if own * 2 >= window:
            prove(block.state, address20)
            block.state.delete(STORE, row)
            block.state.delete(STORE, SEEN)
        elif seen >= window:
            block.state.set(STORE, row, _WINDOW.pack(0, 0))
        else:
            block.state.set(STORE, row, _WINDOW.pack(seen, own))


def process_updates(block: Block) -> None:
    """Append to the block what changes in the engine's set: differences alone, in key order, never to an empty set.

    Members that have become INVALID, or are no participants any more, hold no power.
    """
    revision = status_revision(block.state).to_bytes(_NUMBER_BYTES)
    if block.state.get(STORE, SEEN) == revision:
        return
    block.state.set(STORE, SEEN, revision)
    wanted = powers(_candidates(block.state), _params(block.state).unproven_percent)
    if not wanted:
        return
    told = last_powers(block.state)
    for key in sorted({*told, *wanted}):
        power = wanted.get(key, 0)
        if power != told.get(key, 0):
            _tell(block, key, power)
    _watch(block.state, wanted)


def last_powers(state: Reader) -> dict[bytes, int]:
    """Power by consensus key as the engine was last told."""
    rows = state.iterate(STORE, POWERS, prefix_end(POWERS))
    return {row[len(POWERS) :]: int.from_bytes(value) for row, value in rows}


def members(state: Reader) -> Iterator[tuple[str, bytes, int]]:
    """(address, consensus key, weight) of those that may hold power, by key."""
    for row, value in state.iterate(STORE, MEMBERS, prefix_end(MEMBERS)):
        yield value[_NUMBER_BYTES:].decode(), row[len(MEMBERS) :], int.from_bytes(value[:_NUMBER_BYTES])


def is_proven(state: Reader, key: bytes) -> bool:
    """Whether a consensus key has signed half of a window, or stood in the genesis."""
    return state.get(STORE, PROVEN + consensus_address(key)) is not None


def prove(state: State, address20: bytes) -> None:
    """Count the key with this consensus address as proven from now on."""
    state.set(STORE, PROVEN + address20, _MARK)


def _candidates(state: Reader) -> list[Candidate]:
    """Members in good standing. While none of them is proven, those who have signed so far stay beside them."""
    standing = [member for member in members(state) if _may_sign(state, member[0])]
    found = [Candidate(key, weight, is_proven(state, key)) for _, key, weight in standing]
    if not found or any(each.proven for each in found):
        return found
    return [*found, *_incumbents(state, [address for address, _, _ in standing])]


def _incumbents(state: Reader, newcomers: Sequence[str]) -> Iterator[Candidate]:
    """Proven keys of the set that the engine was last told, with their power, but for old keys of the newcomers."""
    for key, power in last_powers(state).items():
        owner = by_consensus_address(state, consensus_address(key))
        if is_proven(state, key) and owner is not None and owner not in newcomers and _may_sign(state, owner):
            yield Candidate(key, power, proven=True)


def _may_sign(state: Reader, address: str) -> bool:
    record = participant(state, address)
    return record is not None and record.status != ParticipantStatus.INVALID


def _tell(block: Block, key: bytes, power: int) -> None:
    if power:
        block.state.set(STORE, POWERS + key, power.to_bytes(_NUMBER_BYTES))
    else:
        block.state.delete(STORE, POWERS + key)
    block.validator_updates.append(ValidatorUpdate(key, power))


def _watch(state: State, wanted: dict[bytes, int]) -> None:
    """Begin a window for each key of the set that is not proven; forget those of keys that have left."""
    watched = {UNPROVEN + consensus_address(key) for key in wanted if not is_proven(state, key)}
    for row, _ in state.iterate(STORE, UNPROVEN, prefix_end(UNPROVEN)):
        if row in watched:
            watched.remove(row)
        else:
            state.delete(STORE, row)
    for row in sorted(watched):
        state.set(STORE, row, _WINDOW.pack(0, 0))


def _params(state: Reader) -> ConsensusPowerParams:
    return effective(state).params.consensus_power_params
