"""Rows of participants in the store `inference`.

Participant/value/<address>/                    Participant
HardwareNodes/value/<address>/                  HardwareNodes
ConsensusAddress/value/<20 bytes>/              height at which the key retired (8 bytes; 0: in use), its owner's address
ParticipantStatusRevision/value/                8 bytes, big-endian: how many times a status has changed
"""

from collections.abc import Iterator
from itertools import islice

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.auth.state import public_key
from pivot.chain.modules.authz.state import grantees
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNodes, Participant

STORE = "inference"
PARTICIPANTS = b"Participant/value/"
HARDWARE = b"HardwareNodes/value/"
CONSENSUS_ADDRESSES = b"ConsensusAddress/value/"
STATUS_REVISION = b"ParticipantStatusRevision/value/"
HEIGHT_BYTES = 8
REVISION_BYTES = 8
MAX_SIGNING_KEYS = 8


def participant(state: Reader, address: str) -> Participant | None:
    """The participant's record, or None. Running balance and statistics are not in it (module rewards)."""
    row = state.get(STORE, _key(PARTICIPANTS, address))
    return None if row is None else Participant.FromString(row)


def require_participant(state: Reader, address: str) -> Participant:
    """The participant's record. Raises NetworkError (PARTICIPANT_NOT_FOUND)."""
    found = participant(state, address)
    if found is None:
        raise NetworkError(NetworkCode.PARTICIPANT_NOT_FOUND, f"{address[:90]!r} is not a participant")
    return found


def put(state: State, record: Participant) -> None:
    """Write a participant's record. A change of status is counted, so that validators can follow it."""
    before = participant(state, record.address)
    if before is not None and before.status != record.status:
        state.set(STORE, STATUS_REVISION, (status_revision(state) + 1).to_bytes(REVISION_BYTES))
    state.set(STORE, _key(PARTICIPANTS, record.address), record.SerializeToString(deterministic=True))


def status_revision(state: Reader) -> int:
    """How many times a participant's status has changed so far."""
    return int.from_bytes(state.get(STORE, STATUS_REVISION) or b"")


def hosts(state: Reader) -> Iterator[Participant]:
    """Participants that are registered with a URL and a consensus key, by address."""
    for _, row in state.iterate(STORE, PARTICIPANTS, prefix_end(PARTICIPANTS)):
        record = Participant.FromString(row)
        if is_host(record):
            yield record


def is_host(record: Participant) -> bool:
    """Whether the participant serves; a consumer has neither URL nor consensus key."""
    return bool(record.inference_url and record.validator_key)


def hardware(state: Reader, address: str) -> HardwareNodes:
    """A participant's nodes by local id; without nodes, if it has declared none."""
    row = state.get(STORE, _key(HARDWARE, address))
    return HardwareNodes(participant=address) if row is None else HardwareNodes.FromString(row)


def all_hardware(state: Reader) -> Iterator[HardwareNodes]:
    """The declarations of all that have nodes, by address."""
    for _, row in state.iterate(STORE, HARDWARE, prefix_end(HARDWARE)):
        yield HardwareNodes.FromString(row)


def put_hardware(state: State, record: HardwareNodes) -> None:
    """Write a participant's declaration; one without nodes is deleted."""
    key = _key(HARDWARE, record.participant)
    if record.hardware_nodes:
        state.set(STORE, key, record.SerializeToString(deterministic=True))
    else:
        state.delete(STORE, key)


def by_consensus_address(state: Reader, address20: bytes) -> str | None:
    """The participant that holds, has asked for or has lately held the key with this consensus address (20 bytes)."""
    row = state.get(STORE, consensus_address_key(address20))
    return None if row is None else row[HEIGHT_BYTES:].decode()


def consensus_address_key(address20: bytes) -> bytes:
    """Key of the row that tells whose consensus key has this address (20 bytes)."""
    return CONSENSUS_ADDRESSES + address20 + b"/"


def signing_keys(state: Reader, address: str, message_type_url: str, time_ns: int) -> list[bytes]:
    """Public keys that may sign for a participant: its own, then those of the first accounts it has granted this message to.

    At most `MAX_SIGNING_KEYS`, so that a bad signature stays cheap to refuse.
    """
    own = public_key(state, address)
    if own is None:
        record = participant(state, address)
        own = record.account_public_key if record is not None else b""
    granted = islice(grantees(state, address, message_type_url, time_ns), MAX_SIGNING_KEYS - 1)
    return [key for key in (own, *(public_key(state, grantee) for grantee in granted)) if key]


def _key(prefix: bytes, address: str) -> bytes:
    return prefix + address.encode() + b"/"
