"""Groups of members, models, time slots, and epochs in which nobody's work was accepted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import genesis
from pivot.chain.modules.members import state as members
from pivot.chain.modules.members.formation import Work, form_some
from pivot.chain.modules.members.invariants import check_groups
from pivot.chain.modules.params.state import put_genesis_only_params
from pivot.chain.modules.participants import state as participants
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, GenesisOnlyParams
from pivot.protocol.generated.inference.inference.types_pb2 import (
    EpochGroupData,
    MLNodeInfo,
    ParticipantStatus,
    ValidationWeight,
)
from pivot.protocol.hash_chain import tip
from tests.chain.chain import CHAIN_ID, consensus_key, key, plain_block
from tests.chain.modules.network import INVALID, MODELS, Network, encoded, node, secret, vote

ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
BIG, SMALL = MODELS


def set_status(network: Network, name: str, status: ParticipantStatus) -> None:
    record = participants.require_participant(network.state, key(name).address)
    record.status = status
    participants.put(network.state, record)


def everyone_has(network: Network, count: int = 1) -> None:
    for name in list(network.names.values()):
        network.declare(name, *(node(number) for number in range(count)))


def slots(network: Network, epoch: int, address: str) -> set[int]:
    """Numbers of a member's nodes that serve through the sprint in this epoch."""
    return {each.node_number for each in members.serving_nodes(network.state, epoch, address)}


# Epoch 0


def test_the_genesis_participants_are_the_members_of_epoch_0() -> None:
    network = Network({"alice": 30, "bob": 20, "watcher": 0}, hardware={"alice": [node(3), node(4, [SMALL])]})
    assert network.weights(0) == {"alice": 30, "bob": 20}
    assert network.weights(0, BIG) == {"alice": 15}
    assert network.weights(0, SMALL) == {"alice": 15}
    assert [each.node_number for each in members.nodes(network.state, 0, ALICE)] == [3, 4]
    assert members.nodes(network.state, 0, BOB) == ()
    assert members.nodes(network.state, 9, BOB) == ()
    assert members.is_member(network.state, 0, BOB)
    assert not members.is_member(network.state, 0, key("watcher").address)
    assert not members.is_member(network.state, 9, BOB)
    assert members.active_participants(network.state, 0) is None
    assert slots(network, 0, ALICE) == set()


def test_a_genesis_weight_smaller_than_the_number_of_nodes_still_counts_whole() -> None:
    network = Network({"alice": 1}, hardware={"alice": [node(0), node(1)]})
    assert network.weights(0) == network.weights(0, BIG) == {"alice": 1}


# Forming


def test_credited_hosts_become_the_members_of_the_epoch() -> None:
    network = Network()
    everyone_has(network, 2)
    network.register("dave")
    network.declare("dave", node(0))
    network.to_sprint()
    network.sprint({"alice": {0: 120, 1: 80}, "bob": {1: 50}, "dave": {0: 70}})
    assert network.weights(1) == {"alice": 200, "bob": 50, "dave": 70}
    found = members.group(network.state, 1)
    assert found is not None
    assert (found.total_weight, found.epoch_index, list(found.sub_group_models)) == (320, 1, [BIG])
    assert (found.poc_start_block_height, found.effective_block_height) == (10, 64)
    of_model = members.group(network.state, 1, BIG)
    assert of_model is not None
    assert (of_model.model_snapshot.id, of_model.model_id, of_model.total_weight) == (BIG, BIG, 320)
    assert members.group(network.state, 1, SMALL) is None
    assert members.weights(network.state, 1, SMALL) == ()
    assert not epochs.effective(network.state).carried_over


def test_the_event_tells_how_many_members_there_are() -> None:
    network = Network()
    network.advance(61)
    seen = network.block
    network.advance(62)
    (event,) = [event for event in seen.events if event.type == "epoch_formed"]
    assert dict(event.attributes) == {
        "epoch_index": "1",
        "members": "3",
        "total_weight": "30",
        "carried_over": "true",
    }


def test_the_published_list_has_models_and_nodes_side_by_side() -> None:
    network = Network()
    network.declare("alice", node(0, [SMALL]), node(1), node(2, [SMALL, BIG]), node(3, ()))
    network.register("alice", consensus="other")
    network.sprint({"alice": {0: 10, 1: 20, 2: 30, 3: 40}})
    listed = members.active_participants(network.state, 1)
    assert listed is not None
    assert (listed.epoch_id, listed.epoch_group_id, listed.created_at_block_height) == (1, 1, 61)
    assert (listed.poc_start_block_height, listed.effective_block_height) == (10, 64)
    (active,) = listed.participants
    assert (active.index, active.weight, active.inference_url) == (ALICE, 100, "http://alice.example:9000")
    assert active.validator_key == encoded(consensus_key("other"))
    assert list(active.models) == [BIG, SMALL]
    assert [[each.node_number for each in array.ml_nodes] for array in active.ml_nodes] == [[1, 2], [0], [3]]
    assert active.seed.signature == tip(CHAIN_ID, 1, ALICE, secret("alice")).hex()
    assert (active.seed.participant, active.seed.epoch_index) == (ALICE, 1)
    raw = network.state.get("inference", b"ActiveParticipants/value/" + (1).to_bytes(8, "big") + b"/")
    assert raw == listed.SerializeToString(deterministic=True)
    answer = network.query("ActiveParticipants", query_pb2.QueryActiveParticipantsRequest(epoch_index=1))
    assert answer.active_participants == listed


def test_w16_weight_counts_once_however_many_models_a_node_lists() -> None:
    network = Network()
    network.declare("alice", node(0, MODELS), node(1, [SMALL]))
    network.declare("bob", node(0))
    network.sprint({"alice": {0: 100, 1: 50}, "bob": {0: 100}})
    assert network.weights(1, BIG) == {"alice": 100, "bob": 100}
    assert network.weights(1, SMALL) == {"alice": 50}


def test_a_node_that_is_gone_by_then_has_weight_but_no_model() -> None:
    network = Network()
    network.declare("alice", node(0), node(1))
    network.to_sprint()
    network.deliver(network.commit_message("alice", {0: 100, 1: 100}))
    network.declare("alice", removed=[node(1)])
    network.sprint({})
    assert network.weights(1) == {"alice": 200}
    assert network.weights(1, BIG) == {"alice": 100}


def test_w8_an_invalid_host_is_not_in_the_next_epoch() -> None:
    network = Network()
    everyone_has(network)
    network.to_sprint()
    network.deliver(network.commit_message("carol", {0: 100}))
    set_status(network, "carol", ParticipantStatus.INVALID)
    with pytest.raises(Rejection, match="INVALID"):
        network.deliver(network.commit_message("carol", {0: 100}))
    network.sprint({"alice": {0: 100}, "bob": {0: 100}}, silent=["carol"])
    assert network.weights(1) == {"alice": 100, "bob": 100}


# Slots


def test_at_most_half_of_a_models_nodes_serve_through_the_sprint() -> None:
    network = Network()
    network.declare("alice", *(node(number) for number in range(5)), *(node(number, [SMALL]) for number in (5, 6)))
    network.declare("bob", node(0))
    network.declare("carol", node(0, ()), node(1, ()))
    network.sprint({"alice": dict.fromkeys(range(7), 10), "bob": {0: 10}, "carol": {0: 10, 1: 10}})
    chosen = slots(network, 1, ALICE)
    assert len(chosen & set(range(5))) == 2
    assert len(chosen & {5, 6}) == 1
    assert slots(network, 1, BOB) == slots(network, 1, CAROL) == set()
    for name in ("", BIG):
        group = members.group(network.state, 1, name)
        assert group is not None
        rows = {row.member_address: row for row in group.validation_weights}
        assert {each.node_number for each in rows[ALICE].ml_nodes if members.serves_in_sprint(each)} >= chosen - {5, 6}


def test_no_node_serves_through_two_sprints_running() -> None:
    network = Network({"alice": 30})
    network.declare("alice", *(node(number) for number in range(4)))
    before: set[int] = set()
    for epoch in range(1, 7):
        network.sprint({"alice": dict.fromkeys(sorted(set(range(4)) - before), 10)})
        chosen = slots(network, epoch, ALICE)
        assert len(chosen) == 2
        assert not chosen & before
        assert network.weights(epoch) == {"alice": 40}
        before = chosen


# Nobody's work was accepted


def test_w14_members_carry_over_and_who_did_not_commit_loses_half() -> None:
    network = Network()
    everyone_has(network, 2)
    network.sprint({"alice": {0: 120, 1: 81}, "bob": {0: 100, 1: 50}, "carol": {0: 40}})
    before = members.group(network.state, 1)
    assert before is not None
    free = {name: sorted({0, 1} - slots(network, 1, key(name).address)) for name in ("alice", "bob")}
    refusal = vote("alice", INVALID, 20)
    network.sprint({"alice": {free["alice"][0]: 500}}, {("bob", "alice"): refusal, ("carol", "alice"): refusal})
    assert epochs.effective(network.state).carried_over
    assert network.weights(2) == {"alice": 201, "bob": 75, "carol": 20}
    assert network.weights(2, BIG) == {"alice": 201, "bob": 75, "carol": 20}
    assert {each.node_number: each.poc_weight for each in members.nodes(network.state, 2, ALICE)} == {0: 120, 1: 81}
    assert {each.node_number: each.poc_weight for each in members.nodes(network.state, 2, BOB)} == {0: 50, 1: 25}
    assert not slots(network, 2, ALICE) & slots(network, 1, ALICE)
    listed = members.active_participants(network.state, 2)
    assert listed is not None
    assert {network.names[each.index]: bool(each.seed.signature) for each in listed.participants} == {
        "alice": True,
        "bob": False,
        "carol": False,
    }


def test_w14_a_network_that_sleeps_for_long_never_loses_its_last_members() -> None:
    network = Network({"alice": 5, "bob": 1}, hardware={"alice": [node(0), node(1)]})
    network.advance(65)
    assert network.weights(1) == {"alice": 3, "bob": 1}
    for _ in range(5):
        network.advance(network.block.height + 120)
    assert network.weights(epochs.effective_index(network.state)) == {"alice": 1, "bob": 1}
    assert network.powers() == {"alice": 1, "bob": 1}
    everyone_has(network)
    network.sprint({"alice": {0: 100}, "bob": {0: 50}})
    assert network.weights(epochs.effective_index(network.state)) == {"alice": 100, "bob": 50}


def test_w14_a_few_do_not_get_the_chain_when_all_others_are_silent() -> None:
    """Nearly everybody's API node is down in one sprint: the one that commits would be the only member, whatever it weighs."""
    network = Network({"alice": 500, "bob": 500, "mallory": 100})
    for name in ("alice", "bob", "mallory"):
        network.declare(name, node(0))
    network.sprint({"alice": {0: 500}, "bob": {0: 501}, "mallory": {0: 100}})
    network.sprint({"mallory": {0: 7}})
    assert network.weights(2) == {"alice": 250, "bob": 251, "mallory": 7}
    assert epochs.effective(network.state).carried_over
    assert network.powers() == network.weights(2)


def test_a_newcomer_joins_beside_members_who_are_silent() -> None:
    network = Network({"alice": 30, "bob": 20})
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"dave": {0: 900}})
    assert network.weights(1) == {"alice": 15, "bob": 10, "dave": 900}


def test_those_who_are_heard_are_enough_from_a_tenth_on() -> None:
    network = Network({"alice": 90, "bob": 10}, hardware={"alice": [node(0)], "bob": [node(0)]})
    network.sprint({"bob": {0: 10}})
    assert network.weights(1) == {"bob": 10}
    assert not epochs.effective(network.state).carried_over


def test_invalid_hosts_do_not_stay_beside_one_that_is_heard() -> None:
    network = Network({"alice": 500, "bob": 5})
    network.declare("bob", node(0))
    set_status(network, "alice", ParticipantStatus.INVALID)
    network.sprint({"bob": {0: 5}}, silent=["alice"])
    assert network.weights(1) == {"bob": 5}


def test_an_invalid_host_does_not_carry_over_unless_it_is_the_last() -> None:
    network = Network()
    set_status(network, "carol", ParticipantStatus.INVALID)
    network.advance(65)
    assert network.weights(1) == {"alice": 15, "bob": 10}
    for name in ("alice", "bob"):
        set_status(network, name, ParticipantStatus.INVALID)
    network.advance(190)
    assert network.weights(2) == {"alice": 8, "bob": 5}


def test_a_genesis_without_members_is_refused() -> None:
    with pytest.raises(ValueError, match="no participant with a weight"):
        Network({})


# Reading


def test_the_electorate_has_the_keys_in_force() -> None:
    network = Network()
    network.register("bob", consensus="other")
    assert sorted(members.electorate(network.state, 0)) == sorted(
        [(ALICE, consensus_key("alice")), (BOB, consensus_key("bob")), (CAROL, consensus_key("carol"))]
    )
    network.advance(65)
    assert (BOB, consensus_key("other")) in members.electorate(network.state, 1)


def test_a_groups_row_is_read_once_however_often_it_is_asked_for() -> None:
    """Every item of every batch asks for the group, whose row may be large."""
    network = Network()
    group, before = members.group(network.state, 0), members.weights(network.state, 0)
    network.state.delete(members.STORE, epochs.epoch_key(members.GROUPS, 0, ""))
    assert members.weights(network.state, 0) is before
    assert members.group(network.state, 0) is group
    assert members.is_member(network.state, 0, key("alice").address)


def test_a_group_of_the_same_epoch_in_another_state_is_another_one() -> None:
    """A block that is made again, or another chain in one process, never sees what an earlier one has parsed."""
    networks = [Network(), Network({"alice": 5})]
    found = [members.weights(each.state, 0) for each in networks]
    assert [len(each) for each in found] == [3, 1]
    write(networks[0], ValidationWeight(member_address=key("bob").address, weight=9))
    assert members.weights(networks[0].state, 0) == ((key("bob").address, 9),)
    write(networks[0], ValidationWeight(member_address=key("bob").address, weight=8))
    assert members.weights(networks[0].state, 0) == ((key("bob").address, 8),)


def test_queries_answer_groups_and_members_that_may_be_called() -> None:
    network = Network()
    everyone_has(network)
    network.sprint({"alice": {0: 100}, "bob": {0: 50}})
    parent = network.query("CurrentEpochGroupData", query_pb2.QueryCurrentEpochGroupDataRequest())
    assert parent.epoch_group_data == members.group(network.state, 1)
    asked = query_pb2.QueryGetEpochGroupDataRequest(epoch_index=1, model_id=BIG)
    assert network.query("EpochGroupData", asked).epoch_group_data == members.group(network.state, 1, BIG)
    every = network.query("EpochGroupDataAll", query_pb2.QueryAllEpochGroupDataRequest()).epoch_group_data
    assert [(each.epoch_index, each.model_id) for each in every][:3] == [(0, ""), (1, ""), (1, BIG)]
    params = network.query("Params", query_pb2.QueryParamsRequest()).params
    assert set(params.transfer_agent_access_params.allowed_transfer_addresses) == {ALICE, BOB}
    assert params.epoch_params == network.params.epoch_params
    for request in (
        query_pb2.QueryGetEpochGroupDataRequest(epoch_index=1, model_id="none"),
        query_pb2.QueryGetEpochGroupDataRequest(epoch_index=7),
    ):
        with pytest.raises(Rejection) as refusal:
            network.query("EpochGroupData", request)
        assert refusal.value.code == NetworkCode.EPOCH_NOT_FOUND
    with pytest.raises(Rejection, match="epoch 0"):
        network.query("ActiveParticipants", query_pb2.QueryActiveParticipantsRequest())


def test_w24_groups_of_old_epochs_are_forgotten() -> None:
    network = Network()
    everyone_has(network)
    network.sprint({"alice": {0: 100}})
    network.advance(10 + 120 * 5 + 60)
    assert epochs.effective_index(network.state) == 6
    assert [index for index in range(8) if members.group(network.state, index)] == [3, 4, 5, 6]
    assert [index for index in range(8) if members.active_participants(network.state, index)] == [3, 4, 5, 6]


# The cap


def with_cap(network: Network, percent: int = 25) -> None:
    share = Decimal(value=percent, exponent=-2)
    put_genesis_only_params(network.state, GenesisOnlyParams(max_individual_power_percentage=share))


def test_the_cap_lowers_a_giant_and_its_nodes_in_proportion() -> None:
    hosts = {"alice": 30, "bob": 20, "carol": 10, "dave": 10, "erin": 10}
    network = Network(hosts, hardware={name: [node(0), node(1)] for name in hosts})
    with_cap(network)
    network.sprint({"alice": {0: 3000, 1: 1000}, **{name: {0: 60} for name in list(hosts)[1:]}})
    assert network.weights(1) == {"alice": 80, "bob": 60, "carol": 60, "dave": 60, "erin": 60}
    assert [(each.poc_weight, each.proven_weight) for each in members.nodes(network.state, 1, ALICE)] == [
        (60, 3000),
        (20, 1000),
    ]
    assert network.weights(1, BIG)["alice"] == 80
    assert members.proven_weight(network.state, 1, ALICE) == 4000
    assert members.proven_weight(network.state, 1, key("nobody").address) == 0


def test_what_a_node_has_proven_is_carried_over_and_not_what_the_cap_left_of_it() -> None:
    """Otherwise a node that serves through the sprint would be cut down twice."""
    hosts = {"alice": 30, "bob": 20, "carol": 10, "dave": 10, "erin": 10}
    network = Network(hosts, hardware={name: [node(0), node(1)] for name in hosts})
    with_cap(network)
    network.sprint({"alice": {0: 2000, 1: 2000}, **{name: {0: 60} for name in list(hosts)[1:]}})
    (serving,) = slots(network, 1, ALICE)
    network.sprint({"alice": {1 - serving: 10}, **{name: {0: 600} for name in list(hosts)[1:]}})
    assert network.weights(2)["alice"] == 800
    assert members.proven_weight(network.state, 2, ALICE) == 2010


def test_an_epoch_that_carries_over_weighs_what_was_proven_again() -> None:
    hosts = {"alice": 30, "bob": 20, "carol": 10, "dave": 10, "erin": 10}
    network = Network(hosts, hardware={name: [node(0)] for name in hosts})
    with_cap(network)
    network.sprint({"alice": {0: 4000}, **{name: {0: 60} for name in list(hosts)[1:]}})
    network.sprint({})
    assert network.weights(2) == {"alice": 40, "bob": 30, "carol": 30, "dave": 30, "erin": 30}
    assert members.proven_weight(network.state, 2, ALICE) == 2000


def test_w15_a_dust_host_does_not_collapse_the_weight_of_three_others() -> None:
    network = Network(hardware={name: [node(0)] for name in ("alice", "bob", "carol")})
    with_cap(network)
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 1000}, "bob": {0: 1000}, "carol": {0: 1000}, "dave": {0: 1}})
    weights = network.weights(1)
    assert weights["dave"] == 1
    assert sum(weights.values()) >= 1500


def test_an_export_loads_into_the_same_rows() -> None:
    network = Network()
    everyone_has(network)
    network.sprint({"alice": {0: 100}})
    restored = plain_block()
    genesis.load(restored, genesis.export(network.state))
    for prefix in (b"EpochGroup", b"ActiveParticipants/"):
        rows = [list(state.iterate("inference", prefix, prefix + b"\xff")) for state in (network.state, restored.state)]
        assert rows[0] == rows[1] != []


# Invariants


def write(network: Network, *rows: ValidationWeight, total: int | None = None, model: str = "") -> None:
    """Replace a group of epoch 0."""
    record = EpochGroupData(
        model_id=model,
        validation_weights=rows,
        total_weight=sum(row.weight for row in rows) if total is None else total,
        sub_group_models=[] if model else [BIG],
    )
    members.put_group(network.state, record)


def row(weight: int, *of_nodes: int) -> ValidationWeight:
    nodes = [MLNodeInfo(node_number=number, poc_weight=each) for number, each in enumerate(of_nodes)]
    return ValidationWeight(member_address=ALICE, weight=weight, ml_nodes=nodes)


@pytest.mark.parametrize(
    ("parent", "total", "of_model", "words"),
    [
        (row(5), 6, row(5), "is not the sum"),
        (row(0), None, row(0), "weighs 0"),
        (row(5, 2, 2), None, row(5), "its nodes 4"),
        (row(5), None, row(6), "weigh more than itself"),
    ],
)
def test_the_invariant_sees_groups_that_cannot_be(
    parent: ValidationWeight, total: int | None, of_model: ValidationWeight, words: str
) -> None:
    network = Network()
    write(network, of_model, model=BIG)
    write(network, parent, total=total)
    with pytest.raises(AssertionError, match=words):
        check_groups(network.state)


def test_the_invariant_sees_an_epoch_without_members() -> None:
    network = Network()
    network.advance(65)
    members.put_group(network.state, EpochGroupData(epoch_index=1))
    with pytest.raises(AssertionError, match="epoch 1 has no members"):
        check_groups(network.state)


NODES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10**6)), max_size=4, unique_by=lambda pair: pair[0])


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["alice", "bob", "carol", "stranger"]), NODES), st.data())
def test_whatever_work_comes_the_groups_are_in_order(
    work: dict[str, list[tuple[int, int]]], data: st.DataObject
) -> None:
    network = Network(hardware={"alice": [node(number) for number in range(4)]})
    with_cap(network, data.draw(st.sampled_from([0, 25, 90])))
    network.advance(61)
    work = {name: [] for name in network.names.values()} | work
    brought = [
        Work(
            key(name).address,
            tuple(MLNodeInfo(node_id=f"node{n}", node_number=n, proven_weight=weight) for n, weight in nodes),
            sum(weight for _, weight in nodes) if data.draw(st.booleans()) else 0,
            data.draw(st.sampled_from([b"", bytes(32)])),
        )
        for name, nodes in work.items()
    ]
    form_some(network.block, epochs.latest(network.state), iter(sorted(brought, key=lambda each: each.address)))
    epochs.switch(network.block, 1)
    check_groups(network.state)
    assert key("stranger").address not in {address for address, _ in members.weights(network.state, 1)}
