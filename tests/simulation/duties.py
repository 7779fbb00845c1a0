"""What honest hosts do of their own accord in every block, as their nodes would: sprint, votes, reveals, claims."""

from collections.abc import Iterator

from google.protobuf.message import Message

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members.state import is_member, serving_nodes
from pivot.chain.modules.participants.state import hardware, is_host, participant
from pivot.chain.modules.poc import state as poc
from pivot.chain.modules.poc import tally
from pivot.chain.modules.randomness.state import chain
from pivot.chain.modules.rewards.state import settle_amount
from pivot.chain.store.interface import Snapshot
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import ended_segments
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgCommitPoc,
    MsgRevealElement,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    ParticipantStatus,
    PocNodeCommit,
    PocVerdict,
    PocVote,
)
from pivot.protocol.hash_chain import element, tip
from pivot.protocol.poc import vote_hash
from tests.simulation.actors import Host
from tests.simulation.world import CHAIN_ID, World

PASSES = 100
"""That an honest node counts in a sprint; a liar's checkers find a tenth of its leaves wrong."""


def duties(world: World) -> Iterator[bytes]:
    """The transactions that are due in the next block, of all honest hosts that are registered."""
    state = world.state
    serving, latest = epochs.effective(state), epochs.latest(state)
    for host in world.hosts:
        record = participant(state, host.address)
        if not host.honest or record is None or not is_host(record) or record.status == ParticipantStatus.INVALID:
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
    yield from _reveals(state, host, serving, height)
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


def _reveals(state: Snapshot, host: Host, serving: Epoch, height: int) -> Iterator[Message]:
    found = chain(state, serving.index, host.address) if serving.index else None
    if found is not None and found.revealed < ended_segments(serving.boundaries, height):
        yield MsgRevealElement(
            creator=host.address,
            epoch_index=serving.index,
            segment=found.revealed,
            element=element(CHAIN_ID, serving.index, host.address, host.secret(serving.index), found.revealed),
        )
