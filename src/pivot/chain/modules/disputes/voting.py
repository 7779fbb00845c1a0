"""How a dispute opens, who votes, and what its outcome does.

The electorate are the members that served the answer's model in the epoch in which it was finished, with their weights
there, without the executor and the accuser: nobody judges its own case, and who cannot run the model cannot judge. They
vote for the epoch's sake, so nothing depends on who serves by then: an executor that has left is judged like any other.

More than half of the electorate's weight for invalid makes the answer invalid; half of it for valid makes that impossible
and decides for valid. So there is one outcome, and never both (W-25). Whatever has neither lapses at the deadline.
"""

from itertools import islice

from pivot.chain.modules.disputes.state import due, put_dispute
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences import sharing
from pivot.chain.modules.inferences.state import inference, put
from pivot.chain.modules.members.state import group, weight
from pivot.chain.modules.participants.state import participant
from pivot.chain.modules.rewards.earnings import note_invalidated, note_validated
from pivot.chain.modules.status.state import note_failed, note_passed
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    Dispute,
    DisputeOutcome,
    Inference,
    InferenceStatus,
    ParticipantStatus,
)

CLOSED_PER_BLOCK = 500
"""Disputes that one block lets lapse; what is left follows in the next."""


def open_dispute(block: Block, record: Inference, accuser: str, accusation: AnswerVerdict) -> None:
    """Let the members vote on an answer. Changes the record, which the caller writes.

    An answer of the epoch before must be decided before its members are forgotten, so its vote ends with this epoch's
    sprint at the latest; a vote without an electorate lapses in the same block.
    """
    weight_of_all = electorate(block.state, record, accuser)
    opened = Dispute(
        inference_id=record.inference_id,
        epoch_index=record.finished_epoch_id,
        executor=record.executed_by,
        accuser=accuser,
        accusation=accusation,
        opened_at_height=block.height,
        deadline_height=_deadline(block, record) if weight_of_all else block.height,
        electorate_weight=weight_of_all,
    )
    put_dispute(block.state, opened)
    record.status = InferenceStatus.VOTING
    block.emit(
        "dispute_opened",
        inference_id=record.inference_id,
        accuser=accuser,
        accusation=AnswerVerdict.Name(accusation),
        deadline_height=opened.deadline_height,
    )


def electorate(state: Reader, record: Inference, accuser: str) -> int:
    """Weight of all that have a vote on an answer; those who have become INVALID still count, and abstain."""
    members = group(state, record.finished_epoch_id, record.model)
    parties = (weight(state, record.finished_epoch_id, each, record.model) for each in (record.executed_by, accuser))
    return members.total_weight - sum(parties) if members else 0


def vote_weight(state: Reader, record: Inference, accuser: str, voter: str) -> int:
    """Weight of a member's vote on an answer; 0 for all others."""
    voting = participant(state, voter)
    if voter in (record.executed_by, accuser) or voting is None or voting.status == ParticipantStatus.INVALID:
        return 0
    return weight(state, record.finished_epoch_id, voter, record.model)


def decide(block: Block, found: Dispute) -> None:
    """Close a dispute whose votes settle it, and write it."""
    if 2 * found.invalid_weight > found.electorate_weight:
        found.outcome = DisputeOutcome.DISPUTE_INVALID
    elif 2 * found.valid_weight >= found.electorate_weight:
        found.outcome = DisputeOutcome.DISPUTE_VALID
    put_dispute(block.state, found)
    if found.outcome != DisputeOutcome.DISPUTE_OPEN:
        _apply(block, found)


def close_due(block: Block) -> None:
    """Let disputes lapse that nobody has decided in time: the answer stays valid, and nobody is blamed."""
    for found in islice(due(block.state, block.height), CLOSED_PER_BLOCK):
        found.outcome = DisputeOutcome.DISPUTE_LAPSED
        put_dispute(block.state, found)
        _apply(block, found)


def _apply(block: Block, found: Dispute) -> None:
    """What an outcome does to the answer, its pay and its executor."""
    record = inference(block.state, found.inference_id)
    if record is None:
        raise LookupError(f"a dispute is on inference {found.inference_id}, which has no record")
    if found.outcome == DisputeOutcome.DISPUTE_INVALID:
        record.status = InferenceStatus.INVALIDATED
        refunded = sharing.refund(block.state, record)
        put(block.state, record)
        note_invalidated(block.state, found.executor)
        note_failed(block, found.executor)
        block.emit("inference_invalidated", inference_id=found.inference_id, refunded=refunded)
    else:
        record.status = InferenceStatus.VALIDATED
        if found.outcome == DisputeOutcome.DISPUTE_VALID:
            sharing.leave(block.state, record, found.accuser)
            note_validated(block.state, found.executor)
            note_passed(block, found.executor)
        put(block.state, record)
    block.emit("dispute_closed", inference_id=found.inference_id, outcome=DisputeOutcome.Name(found.outcome))


def _deadline(block: Block, record: Inference) -> int:
    current = effective(block.state)
    last: int = block.height + current.params.validation_params.dispute_duration
    if record.finished_epoch_id == current.index:
        return last
    return max(min(last, current.boundaries.next_poc_start), block.height)
