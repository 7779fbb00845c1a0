"""What holds after every block."""

from pivot.chain.modules.disputes.state import disputes, votes
from pivot.chain.modules.inferences.state import inference
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome, InferenceStatus

_STATUS = {
    DisputeOutcome.DISPUTE_OPEN: InferenceStatus.VOTING,
    DisputeOutcome.DISPUTE_INVALID: InferenceStatus.INVALIDATED,
    DisputeOutcome.DISPUTE_VALID: InferenceStatus.VALIDATED,
    DisputeOutcome.DISPUTE_LAPSED: InferenceStatus.VALIDATED,
}


def check_disputes(state: Reader) -> None:
    """Nobody votes twice or for more than there is, and an answer's status is its dispute's outcome. Raises AssertionError."""
    for found in disputes(state):
        if found.invalid_weight + found.valid_weight > found.electorate_weight:
            raise AssertionError(f"more weight has voted on {found.inference_id} than there is: {found}")
        if {found.executor, found.accuser} & {voter for voter, _ in votes(state, found)}:
            raise AssertionError(f"a party has voted on {found.inference_id}")
        record = inference(state, found.inference_id)
        if record is not None and record.status != _STATUS[found.outcome]:
            raise AssertionError(f"the status of {found.inference_id} contradicts its dispute: {found}")
