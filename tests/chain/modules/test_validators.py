"""Consensus power: unproven keys, rotation, members that are gone, and what the engine is told."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import state as members
from pivot.chain.modules.params.state import put_genesis_only_params
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.poc.messages import MAX_PASSES
from pivot.chain.modules.slashing.state import is_jailed, published_params, put_params, put_sentence
from pivot.chain.modules.validators import state as validators
from pivot.chain.modules.validators.invariants import check_powers
from pivot.chain.modules.validators.powers import (
    MAX_TOTAL_POWER,
    MAX_VALIDATORS,
    SEATS_OF_UNPROVEN,
    Candidate,
    Guardianship,
    powers,
)
from pivot.chain.store.journal import State
from pivot.chain.types import STORES, ValidatorUpdate
from pivot.primitives.addresses import consensus_address, operator
from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, GenesisOnlyParams
from pivot.protocol.generated.inference.inference.types_pb2 import EpochGroupData, ParticipantStatus, ValidationWeight
from tests.chain.chain import consensus_key, key
from tests.chain.modules.network import Network, fast_params, node

HOSTS = ("alice", "bob", "carol")

# From weights to powers


def candidates(proven: dict[str, int], unproven: dict[str, int]) -> list[Candidate]:
    return [Candidate(name.encode(), weight, True) for name, weight in proven.items()] + [
        Candidate(name.encode(), weight, False) for name, weight in unproven.items()
    ]


def test_proven_keys_have_their_weight_as_power() -> None:
    assert powers(candidates({"a": 30, "b": 7}, {}), 20) == {b"a": 30, b"b": 7}


def test_few_unproven_keys_have_their_weight_too() -> None:
    assert powers(candidates({"a": 80}, {"x": 20}), 20) == {b"a": 80, b"x": 20}


def test_unproven_keys_are_scaled_together_to_their_share() -> None:
    assert powers(candidates({"a": 60, "b": 20}, {"x": 300, "y": 100}), 20) == {b"a": 60, b"b": 20, b"x": 15, b"y": 5}


def test_if_all_are_unproven_they_share_what_there_is() -> None:
    assert powers(candidates({}, {"x": 3, "y": 1}), 20) == {b"x": 3, b"y": 1}


def test_many_small_unproven_keys_cannot_take_the_chain_by_rounding_up() -> None:
    found = powers(candidates({"a": 4}, {f"x{number}": 1 for number in range(100)}), 20)
    assert len(found) == 101
    assert all(found.values())
    assert (sum(found.values()) - found[b"a"]) * 100 <= 20 * sum(found.values())


def test_a_giant_does_not_break_the_engine() -> None:
    found = powers(candidates({"a": 2**62, "b": 2**40, "c": 1}, {"x": 2**62}), 20)
    assert sum(found.values()) <= MAX_TOTAL_POWER
    assert found[b"a"] > found[b"b"] > found[b"c"] > 0
    assert found[b"x"] * 5 <= sum(found.values())


def test_unproven_dust_beside_a_giant_is_left_out() -> None:
    found = powers(candidates({"a": 2**60}, {"x": 1, "y": 2**59}), 20)
    assert set(found) == {b"a", b"y"}


WEIGHTS = st.one_of(st.integers(1, 50), st.integers(1, 2**62))


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), WEIGHTS),
    st.dictionaries(st.sampled_from("stuvwxyz"), WEIGHTS),
    st.integers(1, 100),
)
def test_powers_keep_their_bounds(proven: dict[str, int], unproven: dict[str, int], percent: int) -> None:
    found = powers(candidates(proven, unproven), percent)
    total = sum(found.values())
    assert total <= MAX_TOTAL_POWER
    assert all(power > 0 for power in found.values())
    assert bool(found) == bool(proven or unproven)
    assert set(found) >= {name.encode() for name in proven}
    if proven:
        assert sum(power for name, power in found.items() if name.decode() in unproven) * 100 <= percent * total
    by_weight = sorted(proven, key=lambda name: proven[name])
    assert [found[name.encode()] for name in by_weight] == sorted(found[name.encode()] for name in by_weight)


# Guardians


def guarded(
    proven: dict[str, int], unproven: dict[str, int], *guardians: str, maturity: int = 10**6
) -> dict[bytes, int]:
    found = [each._replace(guardian=each.key.decode() in guardians) for each in candidates(proven, unproven)]
    return powers(found, 20, Guardianship(maturity, 52 * ONE // 100))


def test_a_crowd_of_tiny_hosts_is_not_in_the_set() -> None:
    """The engine stops when more than 10,000 vote, and every block carries all signatures."""
    crowd = {f"crowd{number}": 1 for number in range(MAX_VALIDATORS + 50)}
    told = powers(candidates({"alice": 30, "bob": 20, **crowd}, {}), 20)
    assert len(told) == MAX_VALIDATORS
    assert (told[b"alice"], told[b"bob"]) == (30, 20)
    assert told == powers(list(reversed(candidates({"alice": 30, "bob": 20, **crowd}, {}))), 20)


def test_a_crowd_that_never_signed_takes_no_place_of_those_who_do() -> None:
    proven = {f"host{number:04}": 10 + number for number in range(MAX_VALIDATORS)}
    crowd = {f"crowd{number:04}": 10**6 + number for number in range(MAX_VALIDATORS)}
    told = powers(candidates(proven, crowd), 20)
    heaviest = sorted(proven, reverse=True)[: MAX_VALIDATORS - SEATS_OF_UNPROVEN]
    newcomers = sorted(crowd, reverse=True)[:SEATS_OF_UNPROVEN]
    assert set(told) == {name.encode() for name in (*heaviest, *newcomers)}
    assert sum(told[name.encode()] for name in newcomers) * 5 <= sum(told.values())


def test_places_that_proven_keys_leave_are_open_to_others() -> None:
    crowd = {f"crowd{number:04}": 1 + number for number in range(2 * MAX_VALIDATORS)}
    told = powers(candidates({"alice": 10**6}, crowd), 20)
    assert len(told) == MAX_VALIDATORS
    assert b"alice" in told


def test_a_guardian_signs_however_little_it_weighs() -> None:
    crowd = candidates({f"crowd{number}": 5 for number in range(MAX_VALIDATORS)}, {})
    guardian = Candidate(b"guardian", 1, proven=True, guardian=True)
    assert b"guardian" in powers([*crowd, guardian], 20)
    told = powers([*crowd, guardian], 20, Guardianship(maturity=10**6, multiplier=ONE))
    assert told[b"guardian"] == sum(told.values()) - told[b"guardian"]


def test_guardians_hold_a_multiple_of_the_others_together() -> None:
    assert guarded({"g": 5, "h": 1, "a": 60, "b": 40}, {}, "g", "h") == {b"g": 26, b"h": 26, b"a": 60, b"b": 40}


def test_guardians_who_hold_more_already_keep_it() -> None:
    assert guarded({"g": 60, "a": 100}, {}, "g") == {b"g": 60, b"a": 100}


def test_guardians_alone_and_a_network_without_them_stay_as_they_are() -> None:
    assert guarded({"g": 5, "h": 7}, {}, "g", "h") == {b"g": 5, b"h": 7}
    assert guarded({"g": 5, "h": 7}, {}) == {b"g": 5, b"h": 7}
    assert guarded({"g": 5}, {}, "g") == {b"g": 5}


def test_a_mature_network_has_no_guardians() -> None:
    assert guarded({"g": 5, "a": 95}, {}, "g", maturity=101)[b"g"] == 49
    assert guarded({"g": 5, "a": 95}, {}, "g", maturity=100)[b"g"] == 5


def test_weight_that_is_not_believed_yet_does_not_lift_guardians_over_the_proven() -> None:
    found = guarded({"g": 5, "a": 95}, {"x": 10**5}, "g")
    assert found == {b"g": 62, b"a": 95, b"x": 25}  # not 52,000
    assert found[b"x"] * 5 <= sum(found.values())


def test_a_guardian_whose_engine_does_not_run_is_held_down_like_others() -> None:
    assert guarded({"a": 80}, {"g": 100}, "g") == {b"a": 80, b"g": 20}


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), WEIGHTS),
    st.dictionaries(st.sampled_from("stuvwxyz"), WEIGHTS),
    st.sets(st.sampled_from("abcdstuv")),
    st.integers(0, 10 * ONE),
)
def test_with_guardians_powers_keep_their_bounds(
    proven: dict[str, int], unproven: dict[str, int], guardians: set[str], multiplier: int
) -> None:
    found = [each._replace(guardian=each.key.decode() in guardians) for each in candidates(proven, unproven)]
    told = powers(found, 20, Guardianship(2**63, multiplier))
    total = sum(told.values())
    assert total <= MAX_TOTAL_POWER
    assert all(power > 0 for power in told.values())
    assert bool(told) == bool(proven or unproven)
    assert set(told) >= {name.encode() for name in proven}
    if proven:
        assert sum(power for name, power in told.items() if name.decode() in unproven) * 5 <= total


def test_guardians_of_the_genesis_hold_their_part_of_consensus_power_but_no_more_weight() -> None:
    network = Network(hardware=everyone())
    put_genesis_only_params(
        network.state,
        GenesisOnlyParams(
            genesis_guardian_enabled=True,
            genesis_guardian_network_maturity_threshold=1000,
            genesis_guardian_multiplier=Decimal(value=52, exponent=-2),
            genesis_guardian_addresses=[operator(key("carol").address), operator(key("stranger").address)],
        ),
    )
    network.sprint({"alice": {0: 100}, "bob": {0: 100}, "carol": {0: 10}})
    assert network.powers() == {"alice": 100, "bob": 100, "carol": 104}
    assert network.weights(1) == {"alice": 100, "bob": 100, "carol": 10}
    set_status(network, "carol", ParticipantStatus.INVALID)
    network.advance(network.block.height + 1)
    assert network.powers() == {"alice": 100, "bob": 100}


# In blocks


def everyone(count: int = 1) -> dict[str, list]:
    return {name: [node(number) for number in range(count)] for name in HOSTS}


def set_status(network: Network, name: str, status: ParticipantStatus) -> None:
    record = participants.require_participant(network.state, key(name).address)
    record.status = status
    participants.put(network.state, record)


def test_the_genesis_set_is_proven_and_told_in_key_order() -> None:
    network = Network()
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}
    assert all(validators.is_proven(network.state, consensus_key(name)) for name in HOSTS)


def test_w14_the_genesis_keys_can_be_read_back() -> None:
    network = Network()
    found = {(network.names[address], weight) for address, _, weight in validators.members(network.state)}
    assert found == {("alice", 30), ("bob", 20), ("carol", 10)}


def test_members_of_the_new_epoch_have_its_weights_and_the_others_nothing() -> None:
    network = Network(hardware=everyone())
    network.sprint({"alice": {0: 100}, "bob": {0: 55}})
    assert network.powers() == {"alice": 100, "bob": 55}


def test_the_engine_is_told_at_the_switch_and_of_differences_only() -> None:
    network = Network(hardware=everyone())
    network.sprint({"alice": {0: 30}, "bob": {0: 55}, "carol": {0: 10}})
    assert network.block.validator_updates == []
    assert network.block.height == epochs.effective(network.state).boundaries.set_new_validators + 1
    network.to_sprint()
    told = []
    while network.block.height < 190:
        block = network.block
        network.advance(block.height + 1)
        told += block.validator_updates
    assert {update.public_key for update in told} == {consensus_key(name) for name in HOSTS}
    assert network.powers() == {"alice": 15, "bob": 28, "carol": 5}  # nobody committed for epoch 2


def test_w9_a_rotation_takes_the_old_key_out_and_the_new_one_in_with_one_update() -> None:
    network = Network(hardware=everyone())
    network.register("bob", consensus="other")
    network.to_sprint()
    for name in HOSTS:
        network.deliver(network.commit_message(name, {0: 100}))
    network.sprint_votes()
    network.advance(64)
    block = network.block
    network.advance(65)
    told = {update.public_key: update.power for update in block.validator_updates}
    assert told[consensus_key("bob")] == 0
    assert told[consensus_key("other")] == 50  # a fifth of the whole, until it has signed
    assert network.powers() == {"alice": 100, "carol": 100, "other": 50}


def test_a_new_key_gains_its_weight_when_it_has_signed_half_of_a_window() -> None:
    network = Network(hardware=everyone())
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 100}, "dave": {0: 900}})
    assert network.powers() == {"alice": 100, "dave": 25}
    window = network.params.consensus_power_params.proof_window
    half = window // 2
    network.advance(network.block.height + half)  # its votes are seen from two blocks after the switch on
    assert network.powers()["dave"] == 25
    network.advance(network.block.height + 3)
    assert network.powers() == {"alice": 100, "dave": 900}
    assert validators.is_proven(network.state, consensus_key("dave"))


def test_hosts_whose_engine_does_not_run_cannot_stop_the_chain() -> None:
    network = Network(hardware=everyone(), signing=HOSTS)
    sleeping = [f"sleeper{number}" for number in range(5)]
    for name in sleeping:
        network.register(name)
        network.declare(name, node(0))
    network.sprint({"alice": {0: 10}, "bob": {0: 10}, **{name: {0: 10**6} for name in sleeping}})
    network.advance(126)
    powers_now = network.powers()
    asleep = sum(powers_now[name] for name in sleeping)
    assert 0 < asleep * 5 <= sum(powers_now.values())


def test_new_keys_alone_do_not_take_the_chain_over_before_they_have_signed() -> None:
    """Of the old members only alice has committed, and has a new key. The others sign on until it has shown that it does."""
    network = Network(hardware=everyone(), signing=HOSTS)
    network.register("alice", consensus="other")
    network.sprint({"alice": {0: 900}})
    assert network.weights(1) == {"alice": 900}
    powers_now = network.powers()
    assert powers_now["other"] * 5 <= sum(powers_now.values())
    assert set(powers_now) == {"other", "bob", "carol"}
    network.advance(network.block.height + 20)
    assert network.powers() == powers_now
    network.signing = [*HOSTS, "other"]
    network.advance(network.block.height + 60)
    assert network.powers() == {"other": 900}


def test_a_lone_host_that_changes_its_key_is_not_held_back_by_the_old_one() -> None:
    network = Network({"alice": 30}, hardware={"alice": [node(0)]})
    network.register("alice", consensus="other")
    network.sprint({"alice": {0: 100}})
    assert network.powers() == {"other": 100}


def test_an_invalid_host_does_not_stay_beside_newcomers() -> None:
    network = Network(hardware=everyone())
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"dave": {0: 900}})
    set_status(network, "bob", ParticipantStatus.INVALID)
    network.advance(network.block.height + 1)
    assert set(network.powers()) == {"alice", "carol", "dave"}


def test_signing_less_than_half_of_every_window_proves_nothing() -> None:
    params = fast_params()
    params.consensus_power_params.proof_window = 10
    network = Network(params=params, hardware=everyone())
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 100}, "dave": {0: 900}})
    for height in range(network.block.height, 129):
        network.signing = [*HOSTS, "dave"] if height % 10 < 4 else HOSTS
        network.advance(height + 1)
    assert network.powers() == {"alice": 100, "dave": 25}


def test_a_key_that_leaves_the_set_begins_anew_and_a_proven_one_does_not() -> None:
    network = Network(hardware=everyone())
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 100}, "dave": {0: 900}})
    network.sprint({"alice": {0: 100}})
    assert network.powers() == {"alice": 100}
    network.sprint({"alice": {0: 100}, "bob": {0: 100}, "dave": {0: 900}})
    assert network.powers()["bob"] == 100
    assert network.powers()["dave"] == 900  # it had signed for more than half of a window in epoch 1


@pytest.mark.parametrize("height", [5, 30, 63])
def test_an_invalid_member_loses_its_power_in_the_same_block(height: int) -> None:
    network = Network(hardware=everyone())
    network.advance(height)
    set_status(network, "bob", ParticipantStatus.INVALID)
    block = network.block
    network.advance(height + 1)
    assert block.validator_updates == [ValidatorUpdate(consensus_key("bob"), 0)]
    assert network.powers() == {"alice": 30, "carol": 10}


def test_the_set_never_becomes_empty() -> None:
    network = Network()
    for name in HOSTS:
        set_status(network, name, ParticipantStatus.INVALID)
    network.advance(3)
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}
    validators.set_members(network.block, [])
    network.advance(5)
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}


def test_a_member_that_is_no_participant_has_no_power() -> None:
    network = Network()
    weights = {"bob": 7, "dave": 5}
    rows = [ValidationWeight(member_address=key(name).address, weight=weight) for name, weight in weights.items()]
    members.put_group(network.state, EpochGroupData(validation_weights=rows, total_weight=12))
    validators.set_members(network.block, [(key(name).address, consensus_key(name)) for name in weights])
    network.advance(2)
    assert network.powers() == {"bob": 7}


def test_a_switch_writes_no_rows_of_members_who_stay() -> None:
    network = Network()
    block = replace(network.block, state=State(network.state, STORES))
    validators.set_members(block, [(address, key) for address, key, _ in validators.members(network.state)])
    assert block.state.changes() == {validators.STORE: {validators.SEEN: None}}


def test_a_key_may_have_become_another_members() -> None:
    network = Network()
    bob = key("bob").address
    validators.set_members(network.block, [(bob, consensus_key("alice"))])
    assert list(validators.members(network.state)) == [(bob, consensus_key("alice"), 20)]


def test_the_invariant_sees_powers_that_cannot_be() -> None:
    network = Network()
    row = validators.POWERS + consensus_key("dave")
    network.state.set(validators.STORE, row, (1000).to_bytes(8))
    with pytest.raises(AssertionError, match="unproven keys hold 1000 of 1060"):
        check_powers(network.state)
    network.state.set(validators.STORE, row, (2**51).to_bytes(8))
    with pytest.raises(AssertionError, match="in 4 parts"):
        check_powers(network.state)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_through_epochs_of_change_the_set_keeps_its_rules(data: st.DataObject) -> None:
    """Random work, rotations, sleepers, INVALID and jailed hosts; `Network` checks the engine's rules and the invariants."""
    params = fast_params()
    params.consensus_power_params.proof_window = data.draw(st.sampled_from([2, 40, 100]))
    names = [*HOSTS, "dave", "erin"]
    network = Network(params=params, hardware=everyone())
    for name in names[3:]:
        network.register(name)
        network.declare(name, node(0), node(1))
    network.names |= {key(name).address: name for name in names}
    rules = published_params()
    rules.signed_blocks_window = data.draw(st.sampled_from([10, 100, 1000]))
    put_params(network.state, rules)
    put_genesis_only_params(
        network.state,
        GenesisOnlyParams(
            max_individual_power_percentage=Decimal(value=data.draw(st.sampled_from([0, 25])), exponent=-2),
            genesis_guardian_enabled=data.draw(st.booleans()),
            genesis_guardian_network_maturity_threshold=data.draw(st.sampled_from([100, 2**62])),
            genesis_guardian_multiplier=Decimal(value=52, exponent=-2),
            genesis_guardian_addresses=[operator(key(name).address) for name in ("alice", "dave")],
        ),
    )
    for epoch in range(3):
        network.signing = data.draw(st.lists(st.sampled_from(names), unique=True))
        if data.draw(st.booleans()):
            rotating = data.draw(st.sampled_from(names))
            network.register(rotating, consensus=f"{rotating} {epoch}")
        network.to_sprint()
        counts = {
            name: {0: data.draw(st.integers(1, MAX_PASSES))}
            for name in data.draw(st.lists(st.sampled_from(names), unique=True))
        }
        work = {
            name: {} if any(each.node_number == 0 for each in network.serving(name)) else passes
            for name, passes in counts.items()
        }
        network.sprint(work)
        if data.draw(st.booleans()):
            set_status(network, data.draw(st.sampled_from(names)), ParticipantStatus.INVALID)
        network.advance(network.block.height + data.draw(st.integers(0, 50)))
        assert network.set == validators.last_powers(network.state)
        for name in names:
            set_status(network, name, ParticipantStatus.ACTIVE)
            if is_jailed(network.state, key(name).address) and data.draw(st.booleans()):
                put_sentence(network.state, key(name).address, None)
    assert {consensus_address(each) for each in network.set}
