"""Attacks on proof of compute, by the messages of a sprint."""

import pytest

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import state as members
from pivot.chain.modules.poc import tally
from pivot.protocol.generated.inference.inference.types_pb2 import PocNodeCommit
from pivot.protocol.sprint import sprint_seed
from tests.chain.chain import GENESIS_HASH, key
from tests.chain.modules.network import VALID, Network, fast_params, node, vote

ALICE = key("alice").address


def committee_network(hosts: int, committee: int) -> Network:
    """So many hosts with one node each, of which a committee checks each."""
    params = fast_params()
    params.poc_params.committee_size = committee
    weights = {f"host{number}": 10 for number in range(hosts)}
    return Network(weights, params=params, hardware={name: [node(0)] for name in weights})


def test_m13_two_nodes_of_a_host_cannot_do_the_same_nonces() -> None:
    """Numbers that were given anew at each start collided, so that two nodes did the same work and were paid twice."""
    network = Network(hardware={"alice": [node(0)]})
    with pytest.raises(Rejection, match="two nodes of a host cannot have one node_number") as refused:
        network.declare("alice", node(0, name="other"))
    assert refused.value.code == NetworkCode.INVALID_FIELD
    network.to_sprint()
    twice = network.commit_message("alice", {0: 50})
    twice.nodes.append(PocNodeCommit(node_number=0, node_id="other", count=50, merkle_root=bytes(32)))
    with pytest.raises(Rejection, match="each node_number once"):
        network.deliver(twice)
    with pytest.raises(Rejection, match="node 1 is not declared"):
        network.deliver(network.commit_message("alice", {0: 50, 1: 50}))


def test_m24_no_part_of_a_sprints_seed_can_be_moved_into_another() -> None:
    """Texts that were joined without lengths gave two networks, or two epochs, one and the same work."""
    seeds = [
        sprint_seed("net-1", 1, bytes(32), GENESIS_HASH),
        sprint_seed("net-", 1, b"1" + bytes(31), GENESIS_HASH),
        sprint_seed("net-1", 256, bytes(32), GENESIS_HASH),
        sprint_seed("net-11", 1, bytes(32), GENESIS_HASH),
    ]
    assert len(set(seeds)) == len(seeds)


def test_m28_padding_costs_what_it_adds() -> None:
    """Two per cent of invented nonces passed with nobody losing anything; now they are taken off again."""
    params = fast_params()
    params.poc_params.sample_size = 100
    network = Network(params=params, hardware={"alice": [node(0)], "bob": [node(0)]})
    padded = vote("alice", VALID, mismatched=2, checked=100)
    network.sprint({"alice": {0: 1000}, "bob": {0: 1000}}, {(name, "alice"): padded for name in ("bob", "carol")})
    assert network.weights(1) == {"alice": 980, "bob": 1000}


def test_a22_nobody_learns_of_a_vote_before_all_are_bound() -> None:
    """Samples that follow from public data, and votes in the open, let a prover answer for the checks alone."""
    network = Network(hardware={"alice": [node(0)]})
    network.to_sprint()
    network.deliver(network.commit_message("alice", {0: 50}))
    network.to_votes()
    hashed, votes = network.vote_messages("bob", [vote("alice")])
    with pytest.raises(Rejection, match="outside the window"):
        network.deliver(votes)
    network.deliver(hashed)
    network.to_reveal()
    late, copied = network.vote_messages("carol", [vote("alice")])
    with pytest.raises(Rejection, match="outside the window"):
        network.deliver(late)
    with pytest.raises(Rejection, match="has sent no vote hash"):
        network.deliver(copied)
    network.deliver(votes)


def test_a23_a_committee_checks_a_host_however_many_members_there_are() -> None:
    """Everybody checking everybody grows with the square of the hosts: forty would do 1,560 checks, committees of three do 120."""
    network = committee_network(40, committee=3)
    network.to_sprint()
    for number in range(40):
        network.deliver(network.commit_message(f"host{number}", {0: 10}))
    assert sum(len(hosts) for hosts in network.duties().values()) == 40 * 3


def test_a23_who_is_not_in_the_committee_has_no_vote() -> None:
    network = committee_network(8, committee=3)
    network.to_sprint()
    network.deliver(network.commit_message("host0", {0: 10}))
    record = epochs.latest(network.state)
    drawn = tally.checkers(network.state, record, key("host0").address)
    outsider = next(name for name in ("host1", "host2", "host3", "host4", "host5") if key(name).address not in drawn)
    network.to_votes()
    hashed, votes = network.vote_messages(outsider, [vote("host0")])
    network.deliver(hashed)
    network.to_reveal()
    with pytest.raises(Rejection, match="was not drawn to check") as refused:
        network.deliver(votes)
    assert refused.value.code == NetworkCode.NOT_DRAWN


def test_w12_work_that_nobody_did_adds_no_weight_beyond_what_was_checked() -> None:
    """A claimed count is worth the share of it that its checkers found."""
    network = Network(hardware={"alice": [node(0)], "bob": [node(0)]})
    half = vote("alice", VALID, mismatched=10, checked=20)
    network.sprint({"alice": {0: 1000}, "bob": {0: 100}}, {(name, "alice"): half for name in ("bob", "carol")})
    assert dict(members.weights(network.state, 1))[ALICE] == 500


def test_w1_a_hundred_and_thirty_hosts_all_have_votes_weight_and_power() -> None:
    """Weights, validators and voters were read from a page of a hundred; whoever came after it did not exist."""
    network = committee_network(130, committee=3)
    names = [f"host{number}" for number in range(130)]
    network.sprint({name: {0: 50} for name in names})
    assert network.weights(1) == dict.fromkeys(names, 50)
    assert set(network.powers()) == set(names)
    network.to_sprint()
    for name in names:
        network.deliver(network.commit_message(name, {0: 60}))
    assert len(network.duties()) > 100
    network.sprint_votes()
    network.to_switched()
    assert network.weights(2) == dict.fromkeys(names, 60)
