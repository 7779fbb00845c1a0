"""Disputes and the votes on them, by the epoch in which the answer was finished. Rows of the store `inference`.

Dispute/value/<epoch, 8 bytes>/<id>/                    Dispute
DisputeVote/value/<epoch, 8 bytes>/<id>/<address>/      1 byte: 1 for invalid, 2 for valid
DisputeDeadline/value/<height, 8 bytes><id>             the open ones, by their last height
"""

from collections.abc import Iterator

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.inferences.state import inference
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Dispute, DisputeOutcome

STORE = "inference"
DISPUTES = b"Dispute/value/"
VOTES = b"DisputeVote/value/"
DEADLINES = b"DisputeDeadline/value/"
_HEIGHT_BYTES = 8
_MARK = b"\x01"
_INVALID, _VALID = b"\x01", b"\x02"


def dispute(reader: Reader, inference_id: str) -> Dispute | None:
    """The dispute on an answer, open or decided, if there ever was one and it is kept."""
    record = inference(reader, inference_id)
    row = None if record is None else reader.get(STORE, _key(record.finished_epoch_id, inference_id))
    return None if row is None else Dispute.FromString(row)


def require_dispute(reader: Reader, inference_id: str) -> Dispute:
    """The dispute on an answer. Raises NetworkError (DISPUTE_NOT_FOUND)."""
    found = dispute(reader, inference_id)
    if found is None:
        raise NetworkError(
            NetworkCode.DISPUTE_NOT_FOUND, f"there is no dispute on the inference {inference_id[:100]!r}"
        )
    return found


def disputes(reader: Reader) -> Iterator[Dispute]:
    """All that are kept, by epoch and id."""
    for _, row in reader.iterate(STORE, DISPUTES, prefix_end(DISPUTES)):
        yield Dispute.FromString(row)


def put_dispute(state: State, record: Dispute) -> None:
    """Write a dispute; while it is open it waits for its deadline."""
    state.set(STORE, _key(record.epoch_index, record.inference_id), record.SerializeToString(deterministic=True))
    if record.outcome == DisputeOutcome.DISPUTE_OPEN:
        state.set(STORE, _deadline_key(record), _MARK)
    else:
        state.delete(STORE, _deadline_key(record))


def due(state: State, height: int) -> Iterator[Dispute]:
    """Open disputes whose last height is `height` or lies before it, oldest first."""
    for key, _ in state.iterate(STORE, DEADLINES, DEADLINES + (height + 1).to_bytes(_HEIGHT_BYTES)):
        yield require_dispute(state, key[len(DEADLINES) + _HEIGHT_BYTES :].decode())


def vote_of(reader: Reader, record: Dispute, voter: str) -> bool | None:
    """Whether a member has voted for invalid; None if it has not voted."""
    row = reader.get(STORE, _vote_key(record, voter))
    return None if row is None else row == _INVALID


def put_vote(state: State, record: Dispute, voter: str, *, invalid: bool) -> None:
    """Write a member's vote."""
    state.set(STORE, _vote_key(record, voter), _INVALID if invalid else _VALID)


def votes(reader: Reader, record: Dispute) -> Iterator[tuple[str, bool]]:
    """(voter, whether it voted for invalid), by address."""
    prefix = epoch_key(VOTES, record.epoch_index, record.inference_id)
    for key, row in reader.iterate(STORE, prefix, prefix_end(prefix)):
        yield key[len(prefix) : -1].decode(), row == _INVALID


def prune(block: Block) -> None:
    """Delete disputes of epochs past their time (W-24), but none that is still open (W-25).

    A vote may last longer than the epochs after it, where members have agreed on shorter ones meanwhile.
    """
    if prune_rows(block, DISPUTES, may_go=_is_closed):
        prune_rows(block, VOTES)


def _is_closed(row: bytes) -> bool:
    return Dispute.FromString(row).outcome != DisputeOutcome.DISPUTE_OPEN


def _key(epoch: int, inference_id: str) -> bytes:
    return epoch_key(DISPUTES, epoch, inference_id)


def _vote_key(record: Dispute, voter: str) -> bytes:
    return epoch_key(VOTES, record.epoch_index, record.inference_id, voter)


def _deadline_key(record: Dispute) -> bytes:
    return DEADLINES + record.deadline_height.to_bytes(_HEIGHT_BYTES) + record.inference_id.encode()
