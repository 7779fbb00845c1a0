"""Standing of hosts. Rows of the store `inference`.

HostStanding/value/<address>/                    HostStanding: the running test
Suspension/value/<epoch, 8 bytes>/<address>/     the INVALID host is let in again when this epoch begins to serve
"""

from collections.abc import Iterator
from itertools import islice

from pivot.chain.modules.collateral.slash import slash_invalid
from pivot.chain.modules.epochs.state import effective, effective_index, epoch_key
from pivot.chain.modules.participants.state import put, require_participant
from pivot.chain.modules.status.sequential import steps
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import HostStanding, ParticipantStatus

STORE = "inference"
STANDINGS = b"HostStanding/value/"
SUSPENSIONS = b"Suspension/value/"
SUSPENDED_EPOCHS = 30
"""Epochs for which an INVALID host stays out: as many as a reputation remembers."""
RELEASED_PER_BLOCK = 100
EPOCH_BYTES = 8
"""Of an epoch's index in a key."""
_MARK = b"\x01"


def standing(reader: Reader, host: str) -> HostStanding:
    """How a host's test stands; one that nobody has checked has no evidence."""
    row = reader.get(STORE, _key(host))
    return HostStanding(participant=host, evidence_e18="0") if row is None else HostStanding.FromString(row)


def standings(reader: Reader) -> Iterator[HostStanding]:
    """All tests, by address."""
    for _, row in reader.iterate(STORE, STANDINGS, prefix_end(STANDINGS)):
        yield HostStanding.FromString(row)


def put_standing(state: State, record: HostStanding) -> None:
    """Write how a host's test stands."""
    state.set(STORE, _key(record.participant), record.SerializeToString(deterministic=True))


def note_passed(block: Block, host: str) -> None:
    """An answer of the host was found to be right. What it cost does not matter (W-20)."""
    record = standing(block.state, host)
    test = steps(effective(block.state).params.validation_params)
    record.evidence_e18 = str(max(int(record.evidence_e18) + test.passed, -test.bound))
    record.measurements += 1
    record.consecutive_failures = 0
    put_standing(block.state, record)
    _judge(block, record)


def note_failed(block: Block, host: str) -> None:
    """An answer of the host was found to be wrong: the host may become INVALID."""
    record = standing(block.state, host)
    test = steps(effective(block.state).params.validation_params)
    record.evidence_e18 = str(int(record.evidence_e18) + test.failed)
    record.measurements += 1
    record.failures += 1
    record.consecutive_failures += 1
    put_standing(block.state, record)
    _judge(block, record)


def release_due(block: Block) -> None:
    """Let hosts in again whose time out is over: with a new test, and RAMPING until they have been checked enough."""
    end = epoch_key(SUSPENSIONS, effective_index(block.state) + 1)
    for key, _ in islice(block.state.iterate(STORE, SUSPENSIONS, end), RELEASED_PER_BLOCK):
        block.state.delete(STORE, key)
        _, host = _suspension_of(key)
        put_standing(block.state, HostStanding(participant=host, evidence_e18="0"))
        _set_status(block, host, ParticipantStatus.RAMPING)


def suspend(state: State, host: str, until_epoch: int) -> None:
    """Keep a host out until an epoch begins to serve."""
    state.set(STORE, epoch_key(SUSPENSIONS, until_epoch, host), _MARK)


def suspensions(reader: Reader) -> Iterator[tuple[int, str]]:
    """(epoch in which it ends, host), by epoch."""
    for key, _ in reader.iterate(STORE, SUSPENSIONS, prefix_end(SUSPENSIONS)):
        yield _suspension_of(key)


def _suspension_of(key: bytes) -> tuple[int, str]:
    """(epoch in which it ends, host) of a row below `SUSPENSIONS`."""
    rest = key[len(SUSPENSIONS) :]
    return int.from_bytes(rest[:EPOCH_BYTES]), rest[EPOCH_BYTES + len(b"/") : -len(b"/")].decode()


def _judge(block: Block, record: HostStanding) -> None:
    """The host's status after a check. An INVALID host stays INVALID, whatever votes under way still say."""
    current = effective(block.state)
    if require_participant(block.state, record.participant).status == ParticipantStatus.INVALID:
        return
    params = current.params.validation_params
    test = steps(params)
    sampled = record.measurements >= params.min_ramp_up_measurements
    if record.consecutive_failures >= test.longest_run or (sampled and int(record.evidence_e18) >= test.bound):
        suspend(block.state, record.participant, current.index + SUSPENDED_EPOCHS + 1)
        _set_status(block, record.participant, ParticipantStatus.INVALID)
        slash_invalid(block, record.participant)
    else:
        _set_status(block, record.participant, ParticipantStatus.ACTIVE if sampled else ParticipantStatus.RAMPING)


def _set_status(block: Block, host: str, status: ParticipantStatus) -> None:
    record = require_participant(block.state, host)
    if record.status != status:
        record.status = status
        put(block.state, record)
        block.emit("participant_status", participant=host, status=ParticipantStatus.Name(status))


def _key(host: str) -> bytes:
    return STANDINGS + host.encode() + b"/"
