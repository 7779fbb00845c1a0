"""Commits, vote hashes, votes, and the weight that follows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import state as members
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.poc import genesis, tally
from pivot.chain.modules.poc import state as poc
from pivot.chain.modules.poc.invariants import check_commits, check_votes
from pivot.chain.modules.poc.messages import MAX_PASSES, MAX_VOTES
from pivot.chain.modules.randomness import state as randomness
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitNewParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import (
    HardwareNode,
    HardwareNodeStatus,
    ParticipantStatus,
    PocCommit,
    PocNodeCommit,
    PocVote,
    PocVotes,
)
from pivot.protocol.parameters import preset_params
from pivot.protocol.poc import MAX_NODES_PER_HOST, split
from tests.chain.chain import key, plain_block
from tests.chain.modules.network import ABSTAIN, INVALID, VALID, Network, fast_params, node, vote

ALICE, BOB, CAROL, DAVE = (key(name).address for name in ("alice", "bob", "carol", "dave"))
HOSTS = ("alice", "bob", "carol")


@pytest.fixture
def network() -> Network:
    """In the first block of the first sprint in which commits are taken; three members, two nodes each."""
    found = Network(hardware={name: [node(0), node(1)] for name in HOSTS})
    found.to_sprint()
    return found


def refused(network: Network, message: object, code: NetworkCode, words: str) -> None:
    """The message is refused with this code and sentence, and nothing has changed."""
    before = network.state.changes()
    with pytest.raises(Rejection, match=words) as refusal:
        network.deliver(message)
    assert refusal.value.code == code
    assert network.state.changes() == before


# Commits


def test_a_commit_is_kept_with_the_tip_and_told(network: Network) -> None:
    message = network.commit_message("alice", {1: 7, 0: 5})
    network.deliver(message)
    found = poc.commit(network.state, 1, ALICE)
    assert found is not None
    assert (found.participant, found.epoch_index, found.hash_chain_tip) == (ALICE, 1, message.hash_chain_tip)
    assert [(each.node_number, each.count) for each in found.nodes] == [(0, 5), (1, 7)]
    assert randomness.chain(network.state, 1, ALICE).last == message.hash_chain_tip
    assert network.events("poc_committed") == [{"participant": ALICE, "epoch_index": "1", "count": "12"}]
    assert poc.commit(network.state, 1, BOB) is None


def test_a_second_commit_is_refused(network: Network) -> None:
    network.deliver(network.commit_message("alice", {0: 5}))
    refused(network, network.commit_message("alice", {0: 5}), NetworkCode.ALREADY_DONE, "has committed for epoch 1")
    refused(network, network.commit_message("alice", {1: 9}), NetworkCode.ALREADY_DONE, "has committed for epoch 1")


def test_commits_are_taken_from_the_block_after_the_start_to_the_end_of_the_exchange() -> None:
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    network.advance(9)
    refused(network, network.commit_message("alice", {0: 5}), NetworkCode.UPCOMING_EPOCH_NOT_FOUND, "no sprint")
    network.advance(10)
    refused(network, network.commit_message("alice", {0: 5}), NetworkCode.POC_OUTSIDE_WINDOW, "from 11 to 40")
    network.advance(11)
    network.deliver(network.commit_message("alice", {0: 5}))
    network.advance(40)
    network.deliver(network.commit_message("bob", {0: 5}))
    network.advance(41)
    refused(network, network.commit_message("carol", {0: 5}), NetworkCode.POC_OUTSIDE_WINDOW, "height 41")


@pytest.mark.parametrize("epoch", [0, 2, 2**64 - 1])
def test_a_commit_for_another_epoch_is_refused(network: Network, epoch: int) -> None:
    refused(network, network.commit_message("alice", {0: 5}, epoch=epoch), NetworkCode.POC_WRONG_EPOCH, "epoch_index")


def test_w12_who_is_no_host_or_invalid_cannot_commit(network: Network) -> None:
    message = network.commit_message("dave", {0: 5})
    refused(network, message, NetworkCode.PARTICIPANT_NOT_FOUND, DAVE)
    network.deliver(MsgSubmitNewParticipant(creator=DAVE))
    refused(network, message, NetworkCode.NOT_A_MEMBER, "consumer or INVALID")
    record = participants.require_participant(network.state, ALICE)
    record.status = ParticipantStatus.INVALID
    participants.put(network.state, record)
    refused(network, network.commit_message("alice", {0: 5}), NetworkCode.NOT_A_MEMBER, "consumer or INVALID")


def test_who_joins_when_the_draw_is_known_waits_for_the_next_sprint() -> None:
    """Checkers follow from the address: after the freeze, one with friendly checkers could be looked for."""
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    for _ in range(2):
        network.sprint({name: {0: 10} for name in HOSTS})
    frozen_at = epochs.effective(network.state).boundaries.randomness_freeze
    network.advance(frozen_at - 1)
    network.register("dave")
    network.declare("dave", node(0))
    network.advance(frozen_at)
    network.register("erin")
    network.declare("erin", node(0))
    network.to_sprint()
    network.deliver(network.commit_message("dave", {0: 5}))
    refused(network, network.commit_message("erin", {0: 5}), NetworkCode.NOT_A_MEMBER, "the next sprint is open to it")
    for name in HOSTS:
        network.deliver(network.commit_message(name, {0: 10}))
    network.sprint_votes()
    network.to_switched()
    network.to_sprint()
    network.deliver(network.commit_message("erin", {0: 5}))


def test_who_joins_in_the_first_sprints_may_commit_at_once(network: Network) -> None:
    """Their randomness is the genesis' own, which no waiting could hide."""
    network.register("dave")
    network.declare("dave", node(0))
    network.deliver(network.commit_message("dave", {0: 5}))


def test_w12_one_node_counts_once_and_only_with_its_own_number(network: Network) -> None:
    message = network.commit_message("alice", {0: 5})
    message.nodes.append(message.nodes[0])
    refused(network, message, NetworkCode.INVALID_FIELD, "each node_number once")
    refused(network, network.commit_message("alice", {7: 5}), NetworkCode.INVALID_FIELD, "node 7 is not declared")
    message = network.commit_message("alice", {0: 5})
    message.nodes[0].node_id = "node1"
    refused(network, message, NetworkCode.INVALID_FIELD, "node 0 is not declared as 'node1'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "count of node 0"),
        ({"count": MAX_PASSES + 1}, "count of node 0"),
        ({"merkle_root": bytes(31)}, "merkle_root of node 0"),
    ],
)
def test_a_malformed_node_is_refused(network: Network, change: dict[str, object], words: str) -> None:
    message = network.commit_message("alice", {0: 5})
    for field, value in change.items():
        setattr(message.nodes[0], field, value)
    refused(network, message, NetworkCode.INVALID_FIELD, words)


def test_a_malformed_commit_is_refused(network: Network) -> None:
    message = network.commit_message("alice", {0: 5})
    message.hash_chain_tip = bytes(31)
    refused(network, message, NetworkCode.INVALID_FIELD, "hash_chain_tip")
    refused(network, network.commit_message("alice", {}), NetworkCode.INVALID_FIELD, "nodes is empty")
    message = network.commit_message("alice", {0: 5})
    message.nodes.extend(PocNodeCommit(node_number=i) for i in range(1, MAX_NODES_PER_HOST + 1))
    refused(network, message, NetworkCode.INVALID_FIELD, f"{MAX_NODES_PER_HOST} nodes")


def test_a_node_counts_no_more_passes_than_its_rate_allows() -> None:
    network = Network(params=preset_params("test"), hardware={"alice": [node(0)]})
    network.to_sprint()
    network.advance(35)  # 25 blocks of 0.2 s since the start, and a second of slack, at 40 passes a second
    refused(network, network.commit_message("alice", {0: 241}), NetworkCode.INVALID_FIELD, "it can be 240 at most")
    network.deliver(network.commit_message("alice", {0: 240}))


# Nodes that serve through the sprint


def serving_network() -> tuple[Network, int, int]:
    """In the second sprint; alice's number of a node that serves, and of one that does not."""
    network = Network(hardware={name: [node(0), node(1)] for name in HOSTS})
    network.sprint({"alice": {0: 100, 1: 60}, "bob": {0: 100}})
    network.to_sprint()
    (serving,) = (each.node_number for each in members.serving_nodes(network.state, 1, ALICE))
    return network, serving, 1 - serving


def test_w10_a_node_that_serves_through_the_sprint_cannot_be_counted_twice() -> None:
    network, serving, free = serving_network()
    for counts in ({serving: 5}, {serving: 5, free: 5}):
        refused(
            network, network.commit_message("alice", counts), NetworkCode.INVALID_FIELD, "serves through the sprint"
        )
    network.declare("alice", node(9, name=f"node{serving}"))
    message = network.commit_message("alice", {9: 5})
    message.nodes[0].node_id = f"node{serving}"
    refused(network, message, NetworkCode.INVALID_FIELD, "serves through the sprint")


def test_w10_work_is_credited_to_the_node_that_did_it() -> None:
    network = Network(hardware={"alice": [node(0), node(1), node(2)]})
    network.sprint({"alice": {0: 100, 2: 50}})
    weights = {each.node_id: each.poc_weight for each in members.nodes(network.state, 1, ALICE)}
    assert weights == {"node0": 100, "node2": 50}


def test_a_serving_node_carries_its_last_weight_beside_what_the_others_earn() -> None:
    network, serving, free = serving_network()
    last = {0: 100, 1: 60}
    network.sprint({"alice": {free: 77}, "bob": {1: 10}})
    weights = {each.node_number: each.poc_weight for each in members.nodes(network.state, 2, ALICE)}
    assert weights == {serving: last[serving], free: 77}
    assert network.weights(2)["bob"] == 10


def test_a_host_whose_nodes_all_serve_commits_its_tip_alone() -> None:
    network, serving, free = serving_network()
    network.declare("alice", removed=[node(free)])
    network.deliver(network.commit_message("alice", {}))
    answer = network.query("PocCommits", query_pb2.QueryPocCommitsRequest(epoch_index=2))
    assert list(answer.duties) == []  # nothing to check, so nobody votes on it
    network.sprint({"bob": {1: 10}})
    assert network.weights(2)["alice"] == {0: 100, 1: 60}[serving]
    assert randomness.chain(network.state, 2, ALICE) is not None


def test_a_host_that_says_nothing_keeps_what_its_serving_nodes_had() -> None:
    network, serving, _ = serving_network()
    network.sprint({"bob": {1: 10}})
    assert network.weights(2) == {"alice": {0: 100, 1: 60}[serving], "bob": 10}
    assert randomness.chain(network.state, 2, ALICE) is None


def test_w11_a_serving_node_that_is_gone_weighs_nothing_and_stops_nothing() -> None:
    network, serving, free = serving_network()
    network.declare("alice", removed=[node(0), node(1)])
    network.sprint({"bob": {1: 10}})
    assert network.weights(2) == {"bob": 10}
    network, serving, free = serving_network()
    network.declare("alice", node(serving, name="renamed"), removed=[node(serving)])
    network.sprint({"alice": {free: 5}, "bob": {1: 10}})
    assert network.weights(2) == {"alice": 5, "bob": 10}


# Vote hashes and votes


def test_votes_are_bound_before_they_are_read(network: Network) -> None:
    network.deliver(network.commit_message("alice", {0: 50}))
    hashed, votes = network.vote_messages("bob", [vote("alice")])
    refused(network, hashed, NetworkCode.POC_OUTSIDE_WINDOW, "from 42 to 51")
    network.advance(41)
    refused(network, hashed, NetworkCode.POC_OUTSIDE_WINDOW, "height 41")
    network.advance(42)
    network.deliver(hashed)
    refused(network, votes, NetworkCode.POC_OUTSIDE_WINDOW, "from 52 to 61")
    network.advance(51)
    network.deliver(hashed)
    refused(network, votes, NetworkCode.POC_OUTSIDE_WINDOW, "height 51")
    network.advance(52)
    refused(network, hashed, NetworkCode.POC_OUTSIDE_WINDOW, "height 52")
    network.deliver(votes)
    refused(network, votes, NetworkCode.ALREADY_DONE, "has voted")
    network.advance(61)
    found = poc.votes(network.state, 1, BOB)
    assert found is not None
    assert (found.revealed, list(found.votes), found.vote_hash) == (True, [vote("alice")], hashed.vote_hash)
    hashed, votes = network.vote_messages("carol", [vote("alice")])
    network.advance(62)
    refused(network, votes, NetworkCode.POC_OUTSIDE_WINDOW, "height 62")


def test_votes_for_another_epoch_are_refused(network: Network) -> None:
    network.to_votes()
    hashed, votes = network.vote_messages("bob", [vote("alice")])
    hashed.epoch_index = votes.epoch_index = 2
    refused(network, hashed, NetworkCode.POC_WRONG_EPOCH, "epoch_index is 2")
    refused(network, votes, NetworkCode.POC_WRONG_EPOCH, "epoch_index is 2")


def test_a_vote_that_differs_from_its_hash_is_refused(network: Network) -> None:
    network.deliver(network.commit_message("alice", {0: 50}))
    network.to_votes()
    hashed, votes = network.vote_messages("bob", [vote("alice", INVALID, 20)])
    copied, _ = network.vote_messages("carol", [vote("alice")])
    copied.vote_hash = hashed.vote_hash  # carol does not know bob's votes, and his hash does not fit her
    network.deliver(hashed)
    network.deliver(copied)
    network.to_reveal()
    votes.votes[0].verdict = VALID
    refused(network, votes, NetworkCode.INVALID_FIELD, "do not give the vote hash")
    votes.votes[0].verdict = INVALID
    votes.salt = sha256(b"another")
    refused(network, votes, NetworkCode.INVALID_FIELD, "do not give the vote hash")
    votes.salt = bytes(32)
    network.deliver(votes)
    votes.creator = CAROL
    refused(network, votes, NetworkCode.INVALID_FIELD, "do not give the vote hash")
    votes.creator = ALICE
    refused(network, votes, NetworkCode.INVALID_FIELD, "has sent no vote hash")


def test_only_members_vote(network: Network) -> None:
    network.register("dave")
    network.declare("dave", node(0))
    network.deliver(network.commit_message("dave", {0: 10**6}))
    network.to_votes()
    hashed, _ = network.vote_messages("dave", [vote("dave")])
    refused(network, hashed, NetworkCode.NOT_A_MEMBER, "is not a member")


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (vote("bob"), NetworkCode.NOT_DRAWN, "was not drawn to check"),
        (vote("carol"), NetworkCode.INVALID_FIELD, "has committed nothing"),
        (vote("alice", checked=21), NetworkCode.INVALID_FIELD, "a sample has 20 leaves"),
    ],
)
def test_votes_on_what_a_checker_was_not_drawn_for_are_refused(
    network: Network, given: PocVote, code: NetworkCode, words: str
) -> None:
    for name in ("alice", "bob"):
        network.deliver(network.commit_message(name, {0: 50}))
    network.to_votes()
    hashed, votes = network.vote_messages("bob", [given])
    network.deliver(hashed)
    network.to_reveal()
    refused(network, votes, code, words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "votes must be 1 to"),
        ([vote("alice"), vote("alice", ABSTAIN)], "each participant once"),
        ([vote("alice", INVALID, 11, 10)], "11 leaves of 10"),
        ([vote("alice", VALID, 0, 0)], "at least one leaf"),
        ([vote(f"host {number}") for number in range(MAX_VOTES + 1)], "votes must be 1 to 10000"),
    ],
)
def test_votes_that_cannot_be_are_refused(network: Network, given: list[PocVote], words: str) -> None:
    refused(network, network.vote_messages("bob", given)[1], NetworkCode.INVALID_FIELD, words)


def test_malformed_votes_are_refused(network: Network) -> None:
    hashed, votes = network.vote_messages("bob", [vote("alice")])
    hashed.vote_hash = bytes(31)
    refused(network, hashed, NetworkCode.INVALID_FIELD, "vote_hash must have 32 bytes")
    votes.salt = b""
    refused(network, votes, NetworkCode.INVALID_FIELD, "salt must have 32 bytes")
    _, votes = network.vote_messages("bob", [PocVote(participant=ALICE, checked=1, verdict=7)])
    refused(network, votes, NetworkCode.INVALID_FIELD, "7 is no verdict")


# Who checks whom


def test_the_members_of_the_epoch_in_force_check_a_host_and_not_itself(network: Network) -> None:
    network.register("dave")
    network.declare("dave", node(0))
    for name in ("alice", "dave"):
        network.deliver(network.commit_message(name, {0: 50}))
    assert {name: sorted(hosts) for name, hosts in network.duties().items()} == {
        "alice": ["dave"],
        "bob": ["alice", "dave"],
        "carol": ["alice", "dave"],
    }
    answer = network.query("PocCommits", query_pb2.QueryPocCommitsRequest(epoch_index=1))
    duties = {each.commit.participant: set(each.checkers) for each in answer.duties}
    assert duties == {ALICE: {BOB, CAROL}, DAVE: {ALICE, BOB, CAROL}}
    with pytest.raises(Rejection, match="no sprint of epoch 2"):
        network.query("PocCommits", query_pb2.QueryPocCommitsRequest(epoch_index=2))
    with pytest.raises(Rejection, match="no sprint of epoch 0"):
        network.query("PocCommits", query_pb2.QueryPocCommitsRequest())


def test_a_committee_of_the_parameters_size_checks_a_host_among_many() -> None:
    params = fast_params()
    params.poc_params.committee_size = 3
    weights = {f"host{number}": 10 + number for number in range(8)}
    network = Network(weights, params=params, hardware={name: [node(0)] for name in weights})
    network.sprint({name: {0: 50} for name in weights})
    assert network.weights(1) == dict.fromkeys(weights, 50)
    record = epochs.epoch(network.state, 1)
    assert record is not None
    committees = [tally.checkers(network.state, record, key(name).address) for name in weights]
    assert {len(committee) for committee in committees} == {3}
    assert len({tuple(committee) for committee in committees}) > 1


def test_a_host_that_is_alone_checks_itself() -> None:
    network = Network({"alice": 30}, hardware={"alice": [node(0)]})
    network.sprint({"alice": {0: 100}})
    assert network.weights(1) == {"alice": 100}


def test_the_checkers_of_epoch_2_are_the_members_of_epoch_1() -> None:
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    network.sprint({"alice": {0: 100}, "bob": {0: 50}})
    network.to_sprint()
    for name in HOSTS:
        network.deliver(network.commit_message(name, {0: 10}))
    assert {checker: sorted(hosts) for checker, hosts in network.duties().items()} == {
        "alice": ["bob", "carol"],
        "bob": ["alice", "carol"],
    }


def test_votes_can_be_asked_for(network: Network) -> None:
    network.deliver(network.commit_message("alice", {0: 50}))
    network.to_votes()
    hashed, _ = network.vote_messages("bob", [vote("alice")])
    network.deliver(hashed)
    answer = network.query("PocVotes", query_pb2.QueryPocVotesRequest(epoch_index=1, checker=BOB))
    assert (answer.votes.vote_hash, answer.votes.revealed) == (hashed.vote_hash, False)
    with pytest.raises(Rejection, match="has sent no votes"):
        network.query("PocVotes", query_pb2.QueryPocVotesRequest(epoch_index=1, checker=CAROL))


# Weight


def test_the_mismatched_share_is_taken_off_in_proportion_to_the_nodes_counts() -> None:
    network = Network(hardware={"alice": [node(0), node(1)], "bob": [node(0)]})
    lossy = vote("alice", VALID, 2)
    network.sprint({"alice": {0: 100, 1: 33}, "bob": {0: 50}}, {("bob", "alice"): lossy, ("carol", "alice"): lossy})
    assert network.weights(1) == {"alice": 120, "bob": 50}
    nodes = {each.node_number: each.poc_weight for each in members.nodes(network.state, 1, ALICE)}
    assert nodes == dict(enumerate(split(120, [100, 33]))) == {0: 91, 1: 29}


def test_a_host_that_the_heavier_checkers_refuse_gets_nothing() -> None:
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    network.sprint(
        {"alice": {0: 100}, "bob": {0: 50}, "carol": {0: 10}},
        {("alice", "carol"): vote("carol", INVALID, 20), ("alice", "bob"): vote("bob", INVALID, 20)},
    )
    assert network.weights(1) == {"alice": 100}


def test_without_a_quorum_a_host_keeps_the_weight_that_its_count_covers() -> None:
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint(
        {"alice": {0: 25}, "bob": {0: 500}, "dave": {0: 500}},
        {("bob", "alice"): vote("alice", ABSTAIN, 0, 0)},
        silent=("alice", "carol"),
    )
    assert network.weights(1) == {"alice": 25, "bob": 20, "dave": 500}  # bob alone is a third of dave's checkers


def test_without_a_quorum_a_serving_node_is_not_counted_twice() -> None:
    network, _, free = serving_network()
    last = {0: 100, 1: 60}
    network.to_sprint()
    network.sprint({"alice": {free: 1000}, "bob": {1: 1000}}, silent=("alice", "bob"))
    assert network.weights(2)["alice"] == 160
    nodes = {each.node_number: each.poc_weight for each in members.nodes(network.state, 2, ALICE)}
    assert nodes == last


def test_a_host_outside_the_network_gains_nothing_without_a_quorum() -> None:
    network = Network(hardware={"alice": [node(0)]})
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 10}, "dave": {0: 500}}, silent=HOSTS)
    assert network.weights(1) == {"alice": 10}


def test_a_lone_tiny_member_cannot_take_the_weight_of_a_big_host() -> None:
    """Bob is alice's only checker, because a host's own weight does not check it."""
    network = Network({"alice": 1000, "bob": 1}, hardware={name: [node(0)] for name in ("alice", "bob")})
    refusal = {("bob", "alice"): vote("alice", INVALID, 20)}
    network.sprint({"alice": {0: 5000}, "bob": {0: 1}}, refusal)
    assert network.weights(1) == {"alice": 1000, "bob": 1}


def test_others_with_a_third_of_everything_can_refuse_a_big_host() -> None:
    network = Network({"alice": 600, "bob": 200, "carol": 100}, hardware={name: [node(0)] for name in HOSTS})
    refusal = {(name, "alice"): vote("alice", INVALID, 20) for name in ("bob", "carol")}
    network.sprint({"alice": {0: 5000}, "bob": {0: 200}, "carol": {0: 100}}, refusal)
    assert network.weights(1) == {"bob": 200, "carol": 100}


def test_a_committees_voters_stand_for_all_that_could_have_been_drawn() -> None:
    params = fast_params()
    params.poc_params.committee_size = 2
    weights = {f"host{number}": 10 for number in range(8)}
    network = Network(weights, params=params, hardware={name: [node(0)] for name in weights})
    refusal = {(name, "host0"): vote("host0", INVALID, 20) for name in weights}
    network.sprint({name: {0: 50} for name in weights}, refusal)
    assert "host0" not in network.weights(1)


@pytest.mark.parametrize("status", [HardwareNodeStatus.STOPPED, HardwareNodeStatus.FAILED])
def test_a_serving_node_that_its_host_says_does_not_run_carries_no_weight(status: HardwareNodeStatus) -> None:
    network, serving, free = serving_network()
    network.declare("alice", HardwareNode(local_id=f"node{serving}", node_number=serving, status=status))
    network.sprint({"alice": {free: 77}, "bob": {1: 10}})
    assert network.weights(2) == {"alice": 77, "bob": 10}


def test_w24_commits_and_votes_of_old_epochs_are_forgotten() -> None:
    network = Network(hardware={"alice": [node(0)]})
    network.sprint({"alice": {0: 10}})
    assert poc.commit(network.state, 1, ALICE)
    assert poc.votes(network.state, 1, BOB)
    network.advance(10 + 120 * 4 + 60)
    assert epochs.effective_index(network.state) == 5
    assert list(poc.commits(network.state, 1)) == []
    assert poc.votes(network.state, 1, BOB) is None


def test_an_export_loads_into_the_same_rows() -> None:
    network = Network(hardware={name: [node(0)] for name in HOSTS})
    network.sprint({"alice": {0: 10}})
    restored = plain_block()
    genesis.load(restored, genesis.export(network.state))
    for prefix in (b"PocCommit/", b"PocVotes/"):
        rows = [list(state.iterate("inference", prefix, prefix + b"\xff")) for state in (network.state, restored.state)]
        assert rows[0] == rows[1] != []


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_hosts_and_checkers_say_weight_comes_from_work_and_members_never_die_out(data: st.DataObject) -> None:
    network = Network(hardware={name: [node(number) for number in range(3)] for name in HOSTS})
    last = {name: {0: 30, 1: 20, 2: 10}[number] for number, name in enumerate(HOSTS)}
    for epoch in (1, 2, 3):
        network.to_sprint()
        counts = {}
        for name in HOSTS:
            serving = {each.node_number for each in members.serving_nodes(network.state, epoch - 1, key(name).address)}
            free = sorted({0, 1, 2} - serving)
            if data.draw(st.booleans()):
                chosen = data.draw(st.lists(st.sampled_from(free), unique=True, min_size=1))
                counts[name] = {number: data.draw(st.integers(1, 10**9)) for number in sorted(chosen)}
        verdicts = {
            (checker, host): data.draw(
                st.builds(
                    vote,
                    st.just(host),
                    st.sampled_from([VALID, VALID, INVALID, ABSTAIN]),
                    st.integers(0, 20),
                )
            )
            for checker in HOSTS
            for host in counts
            if checker != host
        }
        network.sprint(counts, verdicts, silent=data.draw(st.lists(st.sampled_from(HOSTS), unique=True)))
        weights = network.weights(epoch)
        assert weights
        for name, weight in weights.items():
            assert weight <= last.get(name, 0) + sum(counts.get(name, {}).values())
        last = weights


def test_votes_are_kept_in_order_and_a_commit_tells_whether_there_are_any(network: Network) -> None:
    for name in HOSTS:
        network.deliver(network.commit_message(name, {0: 50}))
    network.to_votes()
    ballots = {"alice": ["bob"], "carol": sorted(["alice", "bob"], key=lambda name: key(name).address, reverse=True)}
    messages = [network.vote_messages(name, [vote(host) for host in hosts]) for name, hosts in ballots.items()]
    for hashed, _ in messages:
        network.deliver(hashed)
    network.to_reveal()
    for _, votes in messages:
        network.deliver(votes)
    kept = poc.votes(network.state, 1, CAROL)
    assert kept is not None
    assert [each.participant for each in kept.votes] == sorted([ALICE, BOB])
    assert {each.participant: each.voted_on for each in poc.commits(network.state, 1)} == {
        ALICE: True,
        BOB: True,
        CAROL: False,
    }


def test_no_committee_is_drawn_for_commits_on_which_nobody_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of commits costs little to send: the block in which the checks end must not draw for each of them."""
    network = Network()
    crowd = [f"crowd{number}" for number in range(10)]
    for name in crowd:
        network.register(name)
        network.declare(name, node(0))
    network.declare("alice", node(0))
    network.to_sprint()
    for name in ("alice", *crowd):
        network.deliver(network.commit_message(name, {0: 100}))
    network.to_reveal()
    monkeypatch.setattr(tally, "checkers", lambda *_: pytest.fail("a committee is drawn"))
    network.to_switched()
    assert network.weights(1) == {"alice": 30}


# What holds after every block


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"epoch_index": 2}, "the last sprint is that of 1"),
        ({"participant": "nobody"}, "nobody has committed for epoch 1 and is no host"),
        ({"nodes": [PocNodeCommit(node_number=0, node_id=name) for name in "ab"]}, "has committed a node twice"),
        (
            {"nodes": [PocNodeCommit(node_number=number, node_id="a") for number in (0, 1)]},
            "has committed a node twice",
        ),
    ],
)
def test_a_commit_that_cannot_be_is_noticed(network: Network, fields: dict[str, object], words: str) -> None:
    network.to_sprint()
    network.deliver(network.commit_message("alice", {0: 100}))
    check_commits(network.state)
    poc.put_commit(network.state, PocCommit(**{"participant": ALICE, "epoch_index": 1, **fields}))
    with pytest.raises(AssertionError, match=words):
        check_commits(network.state)


def test_a_commit_under_another_host_is_noticed(network: Network) -> None:
    network.to_sprint()
    row = PocCommit(participant=ALICE, epoch_index=1).SerializeToString()
    network.state.set(poc.STORE, epochs.epoch_key(poc.COMMITS, 1, BOB), row)
    with pytest.raises(AssertionError, match=f"{ALICE} has a commit under"):
        check_commits(network.state)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"epoch_index": 2}, "the last sprint is that of 1"),
        ({"checker": DAVE}, f"{DAVE} has votes for epoch 1 and was no member"),
        ({"vote_hash": b"short"}, "without a hash"),
        ({"votes": [vote("bob")]}, "before they were revealed"),
        ({"revealed": True}, "before they were revealed"),
        ({"revealed": True, "votes": [vote("bob"), vote("bob")]}, "has voted twice on a host"),
        ({"revealed": True, "votes": [vote("alice"), vote("bob")]}, "or out of order"),
    ],
)
def test_votes_that_cannot_be_are_noticed(network: Network, fields: dict[str, object], words: str) -> None:
    network.to_sprint()
    described = {"checker": ALICE, "epoch_index": 1, "vote_hash": bytes(32)}
    poc.put_votes(network.state, PocVotes(**described))
    poc.put_votes(network.state, PocVotes(**{**described, "checker": BOB, "revealed": True, "votes": [vote("alice")]}))
    check_votes(network.state)
    poc.put_votes(network.state, PocVotes(**{**described, **fields}))
    with pytest.raises(AssertionError, match=words):
        check_votes(network.state)


def test_of_an_epoch_whose_members_are_forgotten_anybodys_votes_may_be_left(network: Network) -> None:
    network.to_sprint()
    poc.put_votes(network.state, PocVotes(checker=DAVE, epoch_index=1, vote_hash=bytes(32)))
    network.state.delete(members.STORE, epochs.epoch_key(members.GROUPS, 0, ""))
    network.state.delete(members.STORE, epochs.epoch_key(members.GROUP_HASHES, 0, ""))
    check_votes(network.state)
