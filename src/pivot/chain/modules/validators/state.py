"""Consensus keys of the members, what they have signed, and the set that the engine was last told.

Rows of the store `staking`:

    Member/<key, 32 bytes>         address of a member of the epoch in force; its weight stands in its group
    Power/<key, 32 bytes>          power that the engine was last told (8 bytes)
    Proven/<20 bytes>              this consensus address has signed half of a window once
    Unproven/<20 bytes>            blocks seen and blocks signed in the window under way (8 bytes each)
    Seen                           revisions of statuses and of sentences at the last change; absent while the members
                                   have changed since
"""

import struct
from collections.abc import Collection, Iterator, Sequence

from pivot.chain.modules.epochs.state import effective, effective_index
from pivot.chain.modules.members.state import by_address
from pivot.chain.modules.params.state import genesis_only_params
from pivot.chain.modules.participants.state import by_consensus_address, participant, status_revision
from pivot.chain.modules.slashing import state as slashing
from pivot.chain.modules.validators.powers import Candidate, Guardianship, powers
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader, ValidatorUpdate
from pivot.primitives.addresses import consensus_address, of_operator
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import ConsensusPowerParams
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus

STORE = "staking"
MEMBERS = b"Member/"
POWERS = b"Power/"
PROVEN = b"Proven/"
UNPROVEN = b"Unproven/"
SEEN = b"Seen"
_INVALID = ParticipantStatus.INVALID
_MARK = b"\x01"
_NUMBER_BYTES = 8
_WINDOW = struct.Struct(">QQ")


def set_members(block: Block, members: Sequence[tuple[str, bytes]]) -> None:
    """Let these members (address, consensus key) of the epoch in force be those that may hold power.

    The engine is told by `process_updates`, in the same block. Only rows that change are written: most members stay.
    """
    rows = {MEMBERS + key: address.encode() for address, key in members}
    for row, value in block.state.iterate(STORE, MEMBERS, prefix_end(MEMBERS)):
        if row not in rows:
            block.state.delete(STORE, row)
        elif rows[row] == value:
            del rows[row]
    for row, value in rows.items():
        block.state.set(STORE, row, value)
    block.state.delete(STORE, SEEN)


def note_signatures(block: Block) -> None:
    """Count which of the unproven keys signed the last block. One that signs half of a window is proven for good."""
    signed = {vote.address: vote.signed for vote in block.last_commit}
    window = _params(block.state).proof_window
    for address20, before, signed_before in unproven(block.state):
        if address20 not in signed:  # the engine has not let it in yet
            continue
        seen, own = before + 1, signed_before + signed[address20]
        if own * 2 >= window:
            prove(block.state, address20)
            block.state.delete(STORE, UNPROVEN + address20)
            block.state.delete(STORE, SEEN)
        elif seen >= window:
            put_unproven(block.state, address20, 0, 0)
        else:
            put_unproven(block.state, address20, seen, own)


def process_updates(block: Block) -> None:
    """Append to the block what changes in the engine's set: differences alone, in key order, never to an empty set.

    Members that have become INVALID, are jailed, or are no participants any more, hold no power.
    """
    revisions = (status_revision(block.state), slashing.revision(block.state))
    seen = b"".join(number.to_bytes(_NUMBER_BYTES) for number in revisions)
    if seen_revisions(block.state) == seen:
        return
    put_seen_revisions(block.state, seen)
    candidates = _candidates(block.state)
    wanted = powers(candidates, _params(block.state).unproven_percent, _guardianship(block.state))
    if not wanted:
        return
    told = last_powers(block.state)
    for key in sorted({*told, *wanted}):
        power = wanted.get(key, 0)
        if power != told.get(key, 0):
            _tell(block, key, power, told.get(key, 0))
    _watch(block.state, {consensus_address(each.key) for each in candidates if each.key in wanted and not each.proven})


def last_powers(state: Reader) -> dict[bytes, int]:
    """Power by consensus key as the engine was last told."""
    rows = state.iterate(STORE, POWERS, prefix_end(POWERS))
    return {row[len(POWERS) :]: int.from_bytes(value) for row, value in rows}


def members(state: Reader) -> Iterator[tuple[str, bytes, int]]:
    """(address, consensus key, weight) of those that may hold power, by key."""
    group = by_address(state, effective_index(state))
    for row, value in state.iterate(STORE, MEMBERS, prefix_end(MEMBERS)):
        address = value.decode()
        yield address, row[len(MEMBERS) :], group[address].weight


def in_good_standing(state: Reader) -> Iterator[tuple[str, bytes, int]]:
    """Those of the members that are participants, not INVALID and not jailed. If there are none, the set stays as it is."""
    jailed = _jailed(state)
    return (member for member in members(state) if _may_sign(state, member[0], jailed))


def is_members(state: Reader, key: bytes) -> bool:
    """Whether the consensus key is that of a member who may hold power."""
    return state.get(STORE, MEMBERS + key) is not None


def power(state: Reader, key: bytes) -> int:
    """Power of a consensus key as the engine was last told."""
    return int.from_bytes(state.get(STORE, POWERS + key) or b"")


def put_power(state: State, key: bytes, told: int) -> None:
    """Write the power, above 0, that the engine is told of a key."""
    state.set(STORE, POWERS + key, told.to_bytes(_NUMBER_BYTES))


def all_proven(state: Reader) -> Iterator[bytes]:
    """Consensus addresses of all proven keys, in order."""
    for row, _ in state.iterate(STORE, PROVEN, prefix_end(PROVEN)):
        yield row[len(PROVEN) :]


def unproven(state: Reader) -> Iterator[tuple[bytes, int, int]]:
    """(consensus address, blocks seen, blocks signed) of the keys of the set that are not proven, in order."""
    for row, value in state.iterate(STORE, UNPROVEN, prefix_end(UNPROVEN)):
        yield row[len(UNPROVEN) :], *_WINDOW.unpack(value)


def put_unproven(state: State, address20: bytes, seen: int, signed: int) -> None:
    """Write what a key that is not proven has signed in the window under way."""
    state.set(STORE, UNPROVEN + address20, _WINDOW.pack(seen, signed))


def seen_revisions(state: Reader) -> bytes:
    """What the last look for changes has seen; empty while the members have changed since."""
    return state.get(STORE, SEEN) or b""


def put_seen_revisions(state: State, seen: bytes) -> None:
    """Write what the last look for changes has seen."""
    state.set(STORE, SEEN, seen)


def is_proven(state: Reader, key: bytes) -> bool:
    """Whether a consensus key has signed half of a window, or stood in the genesis."""
    return state.get(STORE, PROVEN + consensus_address(key)) is not None


def prove(state: State, address20: bytes) -> None:
    """Count the key with this consensus address as proven from now on."""
    state.set(STORE, PROVEN + address20, _MARK)


def _candidates(state: Reader) -> list[Candidate]:
    """Members in good standing. While none of them is proven, those who have signed so far stay beside them."""
    standing = list(in_good_standing(state))
    guardians = _guardians(state)
    found = [Candidate(key, weight, is_proven(state, key), address in guardians) for address, key, weight in standing]
    if not found or any(each.proven for each in found):
        return found
    return [*found, *_incumbents(state, {address for address, _, _ in standing})]


def _incumbents(state: Reader, newcomers: Collection[str]) -> Iterator[Candidate]:
    """Proven keys of the set that the engine was last told, with their power, but for old keys of the newcomers."""
    jailed = _jailed(state)
    for key, power in last_powers(state).items():
        owner = by_consensus_address(state, consensus_address(key))
        if is_proven(state, key) and owner is not None and owner not in newcomers and _may_sign(state, owner, jailed):
            yield Candidate(key, power, proven=True)


def _may_sign(state: Reader, address: str, jailed: Collection[str]) -> bool:
    record = participant(state, address)
    return record is not None and record.status != _INVALID and address not in jailed


def _jailed(state: Reader) -> Collection[str]:
    return {address for address, _ in slashing.sentences(state)}


def _guardians(state: Reader) -> frozenset[str]:
    """Addresses of the guardians whom the genesis names."""
    return frozenset(of_operator(name) for name in genesis_only_params(state).genesis_guardian_addresses)


def _guardianship(state: Reader) -> Guardianship | None:
    for_good = genesis_only_params(state)
    if not for_good.genesis_guardian_enabled:
        return None
    multiplier = fixed_point(for_good.genesis_guardian_multiplier)
    return Guardianship(for_good.genesis_guardian_network_maturity_threshold, multiplier)


def _tell(block: Block, key: bytes, power: int, before: int) -> None:
    if power:
        put_power(block.state, key, power)
    else:
        block.state.delete(STORE, POWERS + key)
        slashing.end_watch(block.state, consensus_address(key))
    if not before:
        slashing.begin_watch(block.state, consensus_address(key), block.height)
    block.validator_updates.append(ValidatorUpdate(key, power))


def _watch(state: State, watched: set[bytes]) -> None:
    """Begin a window for each of these keys (consensus addresses) that has none; forget those of all others."""
    for address20, *_ in unproven(state):
        if address20 in watched:
            watched.remove(address20)
        else:
            state.delete(STORE, UNPROVEN + address20)
    for address20 in sorted(watched):
        put_unproven(state, address20, 0, 0)


def _params(state: Reader) -> ConsensusPowerParams:
    return effective(state).params.consensus_power_params
