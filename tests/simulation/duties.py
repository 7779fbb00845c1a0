"""What hosts do of their own accord in every block, as their nodes would: sprint, votes, reveals, claims."""

from collections.abc import Iterator

from google.protobuf.message import Message

from pivot.chain.modules.disputes.state import disputes, vote_of
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.members.state import is_member, serving_nodes
from pivot.chain.modules.participants.state import hardware, is_host, participant
from pivot.chain.modules.poc import state as poc
from pivot.chain.modules.poc import tally
from pivot.chain.modules.randomness.state import chain
from pivot.chain.modules.rewards.state import settle_amount
from pivot.chain.modules.validation.duties import drawn_for
from pivot.chain.store.interface import Snapshot
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import ended_segments
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgCommitPoc,
    MsgRevealElement,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
    MsgSubmitValidations,
    MsgVoteDisputes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    DisputeOutcome,
    DisputeVote,
    Epoch,
    ParticipantStatus,
    PocNodeCommit,
    PocVerdict,
    PocVote,
    ValidationReport,
)
from pivot.protocol.hash_chain import element, tip
from pivot.protocol.poc import vote_hash
from tests.simulation.actors import Host
from tests.simulation.world import CHAIN_ID, World

PASSES = 100
"""That an honest node counts in a sprint; a liar counts more, and its checkers find that out."""
LIED = 3
BAD = 64
"""Of 256 answers of a liar, so many are not what its model says."""


def duties(world: World) -> Iterator[bytes]:
    """The transactions that are due in the next block, of all hosts that are registered; liars lie in theirs."""
    state = world.state
    serving, latest = epochs.effective(state), epochs.latest(state)
    for host in world.hosts:
        record = participant(state, host.address)
        if record is None or not is_host(record) or record.status == ParticipantStatus.INVALID:
            continue
        for message in _due(world, state, host, serving, latest):
            yield world.unordered(host.key, message)


def _due(world: World, state: Snapshot, host: Host, serving: Epoch, latest: Epoch) -> Iterator[Message]:
    height, marks = world.height, latest.boundaries
    if latest.index > serving.index:
        if marks.poc_start < height <= marks.poc_exchange_end and poc.commit(state, latest.index, host.address) is None:
            yield from _commit(state, host, latest.index)
        if is_member(state, serving.index, host.address):
            yield from _votes(state, host, latest, height)
    yield from _reveals(world, state, host, serving, height)
    if host.honest:
        yield from _dispute_votes(world, state, host)
    if serving.index > 0 and settle_amount(state, serving.index - 1, host.address) is not None:
        yield MsgClaimRewards(creator=host.address, epoch_index=serving.index - 1)


def _commit(state: Snapshot, host: Host, epoch: int) -> Iterator[Message]:
    resting = {node.node_id for node in serving_nodes(state, epoch - 1, host.address)}
    nodes = [
        PocNodeCommit(node_number=node.node_number, node_id=node.local_id, count=PASSES, merkle_root=sha256(b"leaves"))
        for node in hardware(state, host.address).hardware_nodes
        if node.local_id not in resting
    ]
    if nodes or resting:
        yield MsgCommitPoc(
            creator=host.address,
            epoch_index=epoch,
            nodes=nodes,
            hash_chain_tip=tip(CHAIN_ID, epoch, host.address, host.secret(epoch)),
        )


def _votes(state: Snapshot, host: Host, upcoming: Epoch, height: int) -> Iterator[Message]:
    marks = upcoming.boundaries
    bound = poc.votes(state, upcoming.index, host.address)
    if marks.poc_validation_start < height <= marks.poc_validation_reveal and bound is None:
        if votes := _verdicts(state, host, upcoming):
            hashed = vote_hash(CHAIN_ID, upcoming.index, host.address, votes, _salt(host, upcoming.index))
            yield MsgSubmitPocVoteHash(creator=host.address, epoch_index=upcoming.index, vote_hash=hashed)
    elif marks.poc_validation_reveal < height <= marks.poc_validation_end and bound is not None and not bound.revealed:
        yield MsgSubmitPocVotes(
            creator=host.address,
            epoch_index=upcoming.index,
            votes=_verdicts(state, host, upcoming),
            salt=_salt(host, upcoming.index),
        )


def _verdicts(state: Snapshot, host: Host, upcoming: Epoch) -> list[PocVote]:
    """Valid for whose count can be true; a liar's commit is told by its count."""
    sample = upcoming.params.poc_params.sample_size
    votes = []
    for commit in poc.commits(state, upcoming.index):
        if commit.nodes and host.address in tally.checkers(state, upcoming, commit.participant):
            honest = all(node.count == PASSES for node in commit.nodes)
            votes.append(
                PocVote(
                    participant=commit.participant,
                    checked=sample,
                    mismatched=0 if honest else sample,
                    verdict=PocVerdict.POC_VALID if honest else PocVerdict.POC_INVALID,
                )
            )
    return votes


def _salt(host: Host, epoch: int) -> bytes:
    return sha256(f"salt of {host.name} in {epoch}".encode())


def _reveals(world: World, state: Snapshot, host: Host, serving: Epoch, height: int) -> Iterator[Message]:
    """The next element, with what the host found about the answers for which it was drawn."""
    found = chain(state, serving.index, host.address) if serving.index else None
    if found is None or found.revealed >= ended_segments(serving.boundaries, height):
        return
    epoch, segment = serving.index, found.revealed
    shown = element(CHAIN_ID, epoch, host.address, host.secret(epoch), segment)
    drawn = drawn_for(state, epoch, segment, host.address, shown)
    if not drawn:
        yield MsgRevealElement(creator=host.address, epoch_index=epoch, segment=segment, element=shown)
        return
    reports = [ValidationReport(inference_id=each, verdict=_verdict(world, state, host, each)) for each in drawn]
    yield MsgSubmitValidations(creator=host.address, epoch_index=epoch, segment=segment, element=shown, reports=reports)


def _verdict(world: World, state: Snapshot, host: Host, inference_id: str) -> AnswerVerdict:
    """The truth from honest hosts; liars accuse everybody."""
    bad = not host.honest or is_bad(world, state, inference_id)
    return AnswerVerdict.ANSWER_FAILED if bad else AnswerVerdict.ANSWER_PASSED


def is_bad(world: World, state: Snapshot, inference_id: str) -> bool:
    """Whether an answer was not what it should be: some of the liars' are."""
    record = inference(state, inference_id)
    executor = None if record is None else world.host_of(record.executed_by)
    return executor is not None and not executor.honest and sha256(inference_id.encode())[0] < BAD


def _dispute_votes(world: World, state: Snapshot, host: Host) -> Iterator[Message]:
    """A host's votes on the disputes that are open to it."""
    votes = [
        DisputeVote(inference_id=each.inference_id, invalid=is_bad(world, state, each.inference_id))
        for each in disputes(state)
        if each.outcome == DisputeOutcome.DISPUTE_OPEN and vote_of(state, each, host.address) is None
    ]
    if votes:
        yield MsgVoteDisputes(creator=host.address, votes=votes)
