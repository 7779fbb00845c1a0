"""Commit, vote hash, votes: the three things a host says in a sprint, each in its own window (design, section 6)."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.epochs.state import effective, effective_index, epoch
from pivot.chain.modules.members.state import is_member, serving_nodes
from pivot.chain.modules.participants.state import hardware, is_host, require_participant
from pivot.chain.modules.poc.state import commit, put_commit, put_votes, votes
from pivot.chain.modules.poc.tally import checkers
from pivot.chain.modules.randomness.state import FIRST_FOLDED_EPOCH, commit_tip
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCommitPoc,
    MsgCommitPocResponse,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVoteHashResponse,
    MsgSubmitPocVotes,
    MsgSubmitPocVotesResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    Participant,
    ParticipantStatus,
    PocCommit,
    PocNodeCommit,
    PocVerdict,
    PocVote,
    PocVotes,
)
from pivot.protocol.hash_chain import ELEMENT_LENGTH
from pivot.protocol.poc import MAX_NODES_PER_HOST, SALT_LENGTH, vote_hash

COMMIT_GAS = 20_000
VOTE_HASH_GAS = 2_000
VOTES_GAS = 5_000
GAS_PER_NODE = 500
GAS_PER_VOTE = 1_000
HASH_LENGTH = 32
MAX_VOTES = 10_000
MAX_PASSES = 2**32
"""Of one node in one sprint: beyond any machine, and all hosts' together still fit 63 bits."""
RATE_SLACK_NS = 10**9
"""By how much a sprint may seem longer to a worker than block times say."""
_NANOSECONDS = 10**9


def _upcoming(block: Block, index: int) -> Epoch:
    """The epoch whose sprint is under way. Raises UPCOMING_EPOCH_NOT_FOUND, POC_WRONG_EPOCH."""
    found = epoch(block.state, effective_index(block.state) + 1)
    if found is None:
        raise NetworkError(NetworkCode.UPCOMING_EPOCH_NOT_FOUND, "no sprint is under way")
    if index != found.index:
        raise NetworkError(NetworkCode.POC_WRONG_EPOCH, f"epoch_index is {index}, the sprint is that of {found.index}")
    return found


def _require_window(block: Block, first: int, last: int) -> None:
    if not first <= block.height <= last:
        raise NetworkError(
            NetworkCode.POC_OUTSIDE_WINDOW, f"height {block.height} is outside the window from {first} to {last}"
        )


def _invalid(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, sentence)


# The commit


def _check_commit(message: MsgCommitPoc) -> None:
    if len(message.hash_chain_tip) != ELEMENT_LENGTH:
        raise _invalid(f"hash_chain_tip must have {ELEMENT_LENGTH} bytes")
    if len(message.nodes) > MAX_NODES_PER_HOST:
        raise _invalid(f"a host has {MAX_NODES_PER_HOST} nodes at most")
    if len({node.node_number for node in message.nodes}) != len(message.nodes):
        raise _invalid("nodes must name each node_number once")
    for node in message.nodes:
        if not 0 < node.count <= MAX_PASSES:
            raise _invalid(f"count of node {node.node_number} must be between 1 and {MAX_PASSES}")
        if len(node.merkle_root) != HASH_LENGTH:
            raise _invalid(f"merkle_root of node {node.node_number} must have {HASH_LENGTH} bytes")


def _commit(block: Block, message: MsgCommitPoc) -> MsgCommitPocResponse:
    """Take a host's work of this sprint, once, with the tip of its hash chain for the epoch.

    One node, one root, one count: nonces are dense under the node's number, so none counts twice (W-12).
    """
    upcoming = _upcoming(block, message.epoch_index)
    _require_window(block, upcoming.boundaries.poc_start + 1, upcoming.boundaries.poc_exchange_end)
    host = require_participant(block.state, message.creator)
    if not is_host(host) or host.status == ParticipantStatus.INVALID:
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{host.address} is a consumer or INVALID and cannot take part")
    _require_joined_before_the_draw(block, upcoming, host)
    if commit(block.state, upcoming.index, host.address) is not None:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"{host.address} has committed for epoch {upcoming.index}")
    serving = serving_nodes(block.state, upcoming.index - 1, host.address)
    if not message.nodes and not serving:
        raise _invalid("nodes is empty, and none of the host's nodes serves through the sprint")
    declared = {node.node_number: node.local_id for node in hardware(block.state, host.address).hardware_nodes}
    most = _most_passes(block, upcoming)
    for node in message.nodes:
        if declared.get(node.node_number) != node.node_id:
            raise _invalid(f"node {node.node_number} is not declared as {node.node_id[:90]!r}")
        if any(node.node_number == other.node_number or node.node_id == other.node_id for other in serving):
            raise _invalid(f"node {node.node_id} serves through the sprint and carries its last weight (W-10)")
        if node.count > most:
            raise _invalid(f"count of node {node.node_id} is {node.count}, in this time it can be {most} at most")
    nodes = sorted(message.nodes, key=lambda node: node.node_number)
    put_commit(
        block.state,
        PocCommit(
            participant=host.address,
            epoch_index=upcoming.index,
            nodes=nodes,
            hash_chain_tip=message.hash_chain_tip,
        ),
    )
    commit_tip(block.state, upcoming.index, host.address, message.hash_chain_tip)
    block.emit("poc_committed", participant=host.address, epoch_index=upcoming.index, count=_total(nodes))
    return MsgCommitPocResponse()


def _require_joined_before_the_draw(block: Block, upcoming: Epoch, host: Participant) -> None:
    """A host's checkers are drawn by its address and a randomness that is known from the freeze on.

    Whoever could still choose its address then would try addresses until its own friends were the committee.
    """
    frozen_at = effective(block.state).boundaries.randomness_freeze
    if upcoming.index >= FIRST_FOLDED_EPOCH and host.join_height >= frozen_at:
        raise NetworkError(
            NetworkCode.NOT_A_MEMBER,
            f"{host.address} joined at height {host.join_height}; checkers of the sprint of epoch {upcoming.index} were"
            f" drawn among those who had joined before height {frozen_at}: the next sprint is open to it",
        )


def _most_passes(block: Block, upcoming: Epoch) -> int:
    """What one node may have counted since the sprint began, where the parameters limit the rate."""
    rate: int = upcoming.params.poc_params.max_rate
    began: int = upcoming.created_time
    return rate * (block.time - began + RATE_SLACK_NS) // _NANOSECONDS if rate else MAX_PASSES


def _total(nodes: list[PocNodeCommit]) -> int:
    return sum(node.count for node in nodes)


# Hash, then votes


def _check_vote_hash(message: MsgSubmitPocVoteHash) -> None:
    if len(message.vote_hash) != HASH_LENGTH:
        raise _invalid(f"vote_hash must have {HASH_LENGTH} bytes")


def _note_vote_hash(block: Block, message: MsgSubmitPocVoteHash) -> MsgSubmitPocVoteHashResponse:
    """Bind a checker to votes that nobody can read yet. Until the votes are due it may bind itself anew."""
    upcoming = _upcoming(block, message.epoch_index)
    marks = upcoming.boundaries
    _require_window(block, marks.poc_validation_start + 1, marks.poc_validation_reveal)
    if not is_member(block.state, upcoming.index - 1, message.creator):
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{message.creator} is not a member of the current epoch")
    if require_participant(block.state, message.creator).status == ParticipantStatus.INVALID:
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{message.creator} has become INVALID and judges nobody")
    put_votes(
        block.state,
        PocVotes(checker=message.creator, epoch_index=upcoming.index, vote_hash=message.vote_hash),
    )
    return MsgSubmitPocVoteHashResponse()


def _check_votes(message: MsgSubmitPocVotes) -> None:
    if len(message.salt) != SALT_LENGTH:
        raise _invalid(f"salt must have {SALT_LENGTH} bytes")
    if not 0 < len(message.votes) <= MAX_VOTES:
        raise _invalid(f"votes must be 1 to {MAX_VOTES}")
    if len({vote.participant for vote in message.votes}) != len(message.votes):
        raise _invalid("votes must name each participant once")
    for vote in message.votes:
        if vote.mismatched > vote.checked:
            raise _invalid(f"{vote.mismatched} leaves of {vote.checked} cannot mismatch")
        if vote.verdict not in PocVerdict.values():
            raise _invalid(f"{vote.verdict} is no verdict")
        if vote.verdict != PocVerdict.POC_ABSTAIN and not vote.checked:
            raise _invalid("a verdict rests on at least one leaf; without any, abstain")


def _reveal_votes(block: Block, message: MsgSubmitPocVotes) -> MsgSubmitPocVotesResponse:
    """Take the votes that a checker has bound itself to, on hosts for which it was drawn."""
    upcoming = _upcoming(block, message.epoch_index)
    marks = upcoming.boundaries
    _require_window(block, marks.poc_validation_reveal + 1, marks.poc_validation_end)
    bound = votes(block.state, upcoming.index, message.creator)
    if bound is None:
        raise _invalid(f"{message.creator} has sent no vote hash for epoch {upcoming.index}")
    if bound.revealed:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"{message.creator} has voted for epoch {upcoming.index}")
    if vote_hash(block.chain_id, upcoming.index, message.creator, message.votes, message.salt) != bound.vote_hash:
        raise _invalid("votes and salt do not give the vote hash that was sent before")
    for vote in message.votes:
        _note_vote(block, upcoming, message.creator, vote)
    bound.votes.extend(sorted(message.votes, key=lambda vote: vote.participant))
    bound.revealed = True
    put_votes(block.state, bound)
    return MsgSubmitPocVotesResponse()


def _note_vote(block: Block, upcoming: Epoch, checker: str, vote: PocVote) -> None:
    """Refuse a vote for which the checker was not drawn; the first on a commit makes it one that is worth a tally."""
    found = commit(block.state, upcoming.index, vote.participant)
    if found is None:
        raise _invalid(f"{vote.participant[:90]!r} has committed nothing for epoch {upcoming.index}")
    if checker not in checkers(block.state, upcoming, vote.participant):
        raise NetworkError(NetworkCode.NOT_DRAWN, f"{checker} was not drawn to check {vote.participant}")
    if vote.checked > upcoming.params.poc_params.sample_size:
        raise _invalid(f"checked is {vote.checked}, a sample has {upcoming.params.poc_params.sample_size} leaves")
    if not found.voted_on:
        found.voted_on = True
        put_commit(block.state, found)


MESSAGES: list[MessageHandler] = [
    MessageHandler(
        MsgCommitPoc,
        _commit,
        gas=lambda message: COMMIT_GAS + GAS_PER_NODE * len(message.nodes),
        check=_check_commit,
        duty=True,
        urgent=True,
    ),
    MessageHandler(
        MsgSubmitPocVoteHash,
        _note_vote_hash,
        gas=lambda _: VOTE_HASH_GAS,
        check=_check_vote_hash,
        duty=True,
        urgent=True,
    ),
    MessageHandler(
        MsgSubmitPocVotes,
        _reveal_votes,
        gas=lambda message: VOTES_GAS + GAS_PER_VOTE * len(message.votes),
        check=_check_votes,
        duty=True,
        urgent=True,
    ),
]
