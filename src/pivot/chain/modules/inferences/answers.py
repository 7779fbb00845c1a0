"""Finished answers as their checkers are drawn from them, by epoch and segment. Rows of the store `inference`.

    InferenceValidationDetails/value/<epoch><segment><id>/     InferenceValidationDetails
    AnswerSegment/value/<epoch><segment>/                      number of its answers (8 bytes), hash over all their details
    EpochRequests/value/<epoch>/                               number of answers (8 bytes)

An answer belongs to the epoch that is in force when it is finished, whichever epoch its executor was drawn in: so a late
answer is checked like any other, by hosts that serve now. The last segment lasts until the next epoch serves.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import effective, epoch, epoch_key
from pivot.chain.modules.members.state import group, member_reputation, weight
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Block, Reader
from pivot.primitives.hashes import sha256
from pivot.protocol.duties import Answer, answer
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, Inference, InferenceValidationDetails

STORE = "inference"
DETAILS = b"InferenceValidationDetails/value/"
SEGMENT_ROWS = b"AnswerSegment/value/"
REQUESTS = b"EpochRequests/value/"
CACHED_SEGMENTS = 64
"""Segments that a process keeps ready for draws: those of two epochs, and some more; some 1.5 MB for 4,000 answers."""
PRUNED_PER_BLOCK = 5_000
"""Details that one block deletes: as many as inferences."""
_COUNT_BYTES = 8


def note_answer(block: Block, record: Inference) -> None:
    """Count a finished answer, and write down what decides who checks it; the record learns its epoch and segment."""
    served = effective(block.state)
    record.finished_epoch_id = served.index
    record.segment = segment_at(served, block.height)
    answered = requests(block.state, served.index) + 1
    block.state.set(STORE, epoch_key(REQUESTS, served.index), answered.to_bytes(_COUNT_BYTES))
    found = group(block.state, served.index, record.model)
    details = InferenceValidationDetails(
        epoch_id=served.index,
        inference_id=record.inference_id,
        executor_id=record.executed_by,
        executor_reputation=member_reputation(block.state, served.index, record.executed_by),
        traffic_basis=max(answered, requests(block.state, served.index - 1)),
        executor_power=weight(block.state, served.index, record.executed_by, record.model),
        model=record.model,
        total_power=0 if found is None else found.total_weight,
        created_at_block_height=block.height,
        segment=record.segment,
    )
    row = details.SerializeToString(deterministic=True)
    block.state.set(STORE, details_key(served.index, record.segment, record.inference_id), row)
    count, digest = _segment(block.state, served.index, record.segment)
    extended = (count + 1).to_bytes(_COUNT_BYTES) + sha256(digest + sha256(row))
    block.state.set(STORE, _segment_key(served.index, record.segment), extended)


def segment_at(served: Epoch, height: int) -> int:
    """The segment (0 to 23) of an epoch in force in which a height lies; what comes after all of them is in the last one."""
    return next((each for each in range(SEGMENTS - 1) if height <= segment_end(served.boundaries, each)), SEGMENTS - 1)


def requests(state: Reader, index: int) -> int:
    """Answers that have been finished while an epoch was in force; 0 before there was one."""
    return int.from_bytes(state.get(STORE, epoch_key(REQUESTS, index)) or b"") if index >= 0 else 0


def answers_in(state: Reader, index: int, segment: int) -> int:
    """Answers that have been finished in one segment of an epoch."""
    return _segment(state, index, segment)[0]


def details(state: Reader, index: int, segment: int, inference_id: str) -> InferenceValidationDetails | None:
    """What decides who checks an answer; None if it was not finished in this segment of this epoch."""
    row = state.get(STORE, details_key(index, segment, inference_id))
    return None if row is None else InferenceValidationDetails.FromString(row)


def answers(state: Reader, index: int, segment: int) -> Sequence[Answer]:
    """The answers of a segment, by id, ready for the draw; prepared once per process.

    A segment is looked up by the hash over its rows, together with the parameters that were in force.
    """
    _, digest = _segment(state, index, segment)
    served = epoch(state, index)
    if not digest or served is None:
        return ()
    params = served.params.validation_params
    kept = _kept(digest, params.SerializeToString(deterministic=True))
    if not kept:
        kept.append(tuple(_prepared(state, index, segment, params)))
    return kept[0]


def segment_prefix(index: int, segment: int | None = None) -> bytes:
    """What the keys of all details of an epoch, or of one of its segments, begin with."""
    return epoch_key(DETAILS, index) + (b"" if segment is None else bytes([segment]))


def details_key(index: int, segment: int, inference_id: str) -> bytes:
    """Key of an answer's details."""
    return segment_prefix(index, segment) + inference_id.encode() + b"/"


def prune(block: Block) -> None:
    """Delete what belongs to epochs past their time (W-24)."""
    prune_rows(block, DETAILS, PRUNED_PER_BLOCK)
    prune_rows(block, SEGMENT_ROWS)
    prune_rows(block, REQUESTS)


def _segment(state: Reader, index: int, segment: int) -> tuple[int, bytes]:
    """Number of answers and the hash over them; 0 and nothing for an empty segment."""
    row = state.get(STORE, _segment_key(index, segment)) or b""
    return int.from_bytes(row[:_COUNT_BYTES]), row[_COUNT_BYTES:]


def _segment_key(index: int, segment: int) -> bytes:
    return epoch_key(SEGMENT_ROWS, index) + bytes([segment]) + b"/"


def _prepared(state: Reader, index: int, segment: int, params: ValidationParams) -> Iterator[Answer]:
    prefix = segment_prefix(index, segment)
    names: dict[str, str] = {}  # every address and model once: a segment may have 100,000 answers
    for _, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        made = answer(params, InferenceValidationDetails.FromString(row))
        executor, model = names.setdefault(made.executor, made.executor), names.setdefault(made.model, made.model)
        yield made._replace(executor=executor, model=model)


@lru_cache(maxsize=CACHED_SEGMENTS)
def _kept(_digest: bytes, _params: bytes) -> list[tuple[Answer, ...]]:
    """Where a segment's answers are kept, as the first entry; empty until somebody has prepared them."""
    return []
