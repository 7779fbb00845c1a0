"""MsgVoteDisputes: members vote on disputed answers, some in one message, each in a frame of its own."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.disputes.state import put_vote, require_dispute, vote_of
from pivot.chain.modules.disputes.voting import decide, vote_weight
from pivot.chain.modules.inferences.batches import item_result
from pivot.chain.modules.inferences.state import inference
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgVoteDisputes,
    MsgVoteDisputesResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome, DisputeVote

MAX_VOTES = 1_000
GAS_OF_VOTES = 2_000
GAS_OF_A_VOTE = 5_000


def check_votes(message: MsgVoteDisputes) -> None:
    """Raises SdkError (INVALID_ADDRESS), NetworkError (BATCH_TOO_LARGE)."""
    check_address("creator", message.creator)
    if not 0 < len(message.votes) <= MAX_VOTES:
        raise NetworkError(
            NetworkCode.BATCH_TOO_LARGE, f"a message holds 1 to {MAX_VOTES} votes, not {len(message.votes)}"
        )


def process_vote(block: Block, voter: str, vote: DisputeVote) -> None:
    """Count a member's vote, once, and close the dispute if that decides it.

    Raises NetworkError: DISPUTE_NOT_FOUND, ALREADY_DONE for a dispute that is closed and for a second vote, NOT_A_MEMBER.
    """
    found = require_dispute(block.state, vote.inference_id)
    if found.outcome != DisputeOutcome.DISPUTE_OPEN:
        raise NetworkError(
            NetworkCode.ALREADY_DONE,
            f"the dispute on {found.inference_id} is closed: {DisputeOutcome.Name(found.outcome)}",
        )
    if block.height > found.deadline_height:
        raise NetworkError(
            NetworkCode.ALREADY_DONE, f"votes on {found.inference_id} were taken until height {found.deadline_height}"
        )
    if vote_of(block.state, found, voter) is not None:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"{voter} has voted on {found.inference_id}")
    record = inference(block.state, found.inference_id)
    weight = 0 if record is None else vote_weight(block.state, record, found.accuser, voter)
    if not weight:
        raise NetworkError(
            NetworkCode.NOT_A_MEMBER,
            f"{voter} has no vote: executor, accuser, INVALID hosts and those who did not serve"
            f" the model in epoch {found.epoch_index} have none",
        )
    put_vote(block.state, found, voter, invalid=vote.invalid)
    if vote.invalid:
        found.invalid_weight += weight
    else:
        found.valid_weight += weight
    block.emit("dispute_vote", inference_id=found.inference_id, voter=voter, invalid=str(vote.invalid).lower())
    decide(block, found)


def _vote(block: Block, message: MsgVoteDisputes) -> MsgVoteDisputesResponse:
    def result(vote: DisputeVote) -> ItemResult:
        return item_result(block, "vote_refused", vote.inference_id, lambda: process_vote(block, message.creator, vote))

    return MsgVoteDisputesResponse(votes=[result(vote) for vote in message.votes])


MESSAGES: list[MessageHandler] = [
    MessageHandler(
        MsgVoteDisputes,
        _vote,
        gas=lambda message: GAS_OF_VOTES + GAS_OF_A_VOTE * len(message.votes),
        check=check_votes,
        duty=True,
    )
]
