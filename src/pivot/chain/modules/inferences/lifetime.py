"""How an inference ends without an answer, and when its record goes."""

from itertools import islice

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences import answers, escrow, sharing
from pivot.chain.modules.inferences.opening import LONGEST_REQUEST_AGE_NS, NANOSECONDS_PER_MILLISECOND
from pivot.chain.modules.inferences.state import close, due, forget, oldest
from pivot.chain.modules.rewards.state import note_missed
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus

EXPIRED_PER_BLOCK = 1_000
"""Inferences that one block lets expire; what is left follows in the next."""
PRUNED_PER_BLOCK = 5_000
"""Records that one block deletes: no fewer than one settles at 1,000 a second and five seconds a block, some 50 ms."""

_UNDECIDED = (InferenceStatus.STARTED, InferenceStatus.VOTING)


def expire_due(block: Block) -> None:
    """Give up inferences that nobody has finished in time: the whole escrow goes back, the executor has missed one.

    Only starts expire, and a start carries its executor's acceptance, so nobody is blamed for what it never promised.
    """
    for record in islice(due(block.state, block.height), EXPIRED_PER_BLOCK):
        escrow.release(block.state, record, cost=0)
        record.status = InferenceStatus.EXPIRED
        record.end_block_height = block.height
        record.end_block_timestamp = block.time // NANOSECONDS_PER_MILLISECOND
        close(block.state, record)
        note_missed(block.state, record.expected_executor)
        block.emit("inference_expired", inference_id=record.inference_id)


def prune(block: Block) -> None:
    """Delete records of epochs past their time and what stands beside them, oldest first, some per block (W-24)."""
    _prune_records(block)
    answers.prune(block)
    sharing.prune(block)


def _prune_records(block: Block) -> None:
    """Only closed ones, and only those whose request is too old to open again (see `opening`).

    The first record that must stay ends the round, so a block looks at one record more than it deletes.
    """
    current = effective(block.state)
    kept_from = current.index - current.params.epoch_params.inference_pruning_epoch_threshold + 1
    for age, record in islice(oldest(block.state), PRUNED_PER_BLOCK):
        reopenable = age.request_timestamp >= block.time - LONGEST_REQUEST_AGE_NS
        if max(age.epoch, record.finished_epoch_id) >= kept_from or reopenable or record.status in _UNDECIDED:
            return
        forget(block.state, record)
