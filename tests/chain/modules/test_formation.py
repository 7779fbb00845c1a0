"""The formation of members over more than one block: the same members, whatever the parts."""

import pytest

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.bank.state import COLLATERAL, put_genesis_balance
from pivot.chain.modules.collateral.state import put_collateral
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import formation, forming, genesis
from pivot.chain.modules.members import state as members
from pivot.chain.modules.members.invariants import check_formation
from pivot.chain.modules.params.state import put_genesis_only_params
from pivot.chain.modules.participants import state as participants
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, GenesisOnlyParams, Params
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    EpochGroupData,
    Formation,
    FormationPart,
    FormingHost,
    ParticipantStatus,
)
from tests.chain.chain import key
from tests.chain.modules.network import INVALID, MODELS, Network, fast_params, node, vote

HOSTS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"]
FORMED_AT = 61
"""Height at which the checks of the first sprint end."""
DELAY = 30
"""Blocks from there to the switch."""

Groups = tuple[list[EpochGroupData | None], ActiveParticipants]


def slow_params() -> Params:
    """With time for a formation in many blocks, and with collateral behind weights."""
    params = fast_params()
    params.epoch_params.set_new_validators_delay = DELAY
    params.collateral_params.grace_period_end_epoch = 0
    return params


def network_of_seven() -> Network:
    """Hosts of unequal weight: one above the cap, one with another model, some with collateral, one with a node that serves."""
    weights = {name: 10 * number for number, name in enumerate(HOSTS, start=1)}
    hardware = {name: [node(0), node(1), node(2, MODELS)] for name in HOSTS} | {"carol": [node(0, MODELS[1:])]}
    network = Network(weights, params=slow_params(), hardware=hardware)
    share = Decimal(value=25, exponent=-2)
    put_genesis_only_params(network.state, GenesisOnlyParams(max_individual_power_percentage=share))
    for number, name in enumerate(HOSTS):
        put_collateral(network.state, key(name).address, 50 * number)
    put_genesis_balance(network.state, COLLATERAL, 50 * sum(range(len(HOSTS))))
    return network


def to_formation(network: Network, silent: list[str]) -> None:
    """A sprint in which some do not commit, one newcomer does, and one is refused; to the block in which its checks end."""
    network.register("heidi")
    network.declare("heidi", node(0), node(1))
    network.to_sprint()
    for number, name in enumerate([*HOSTS, "heidi"], start=1):
        if name not in silent:
            network.deliver(
                network.commit_message(name, {0: 100 * number} if name == "carol" else {0: 7, 1: number**3})
            )
    refused = {(checker, "bob"): vote("bob", INVALID, 20) for checker in HOSTS}
    network.sprint_votes(refused)
    network.advance(FORMED_AT)


def formed(network: Network, epoch: int = 1) -> Groups:
    """Groups and published list of an epoch, but for the height at which it was written."""
    listed = members.active_participants(network.state, epoch)
    assert listed is not None
    listed.created_at_block_height = 0
    return [members.group(network.state, epoch, name) for name in ("", *MODELS)], listed


def to_formed(network: Network) -> int:
    """Go on until there are members. Returns the number of blocks that it took."""
    while members.group(network.state, 1) is None:
        network.advance(network.block.height + 1)
    return network.block.height - FORMED_AT


@pytest.mark.parametrize(
    "silent", [[], ["alice", "erin"], [*HOSTS], [*HOSTS[1:], "heidi"]], ids=["all", "most", "one", "few"]
)
def test_members_are_the_same_whatever_the_size_of_the_parts(
    silent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for size in (1, 2, 3, 7, 8, 9):
        monkeypatch.setattr(formation, "FORMED_PER_BLOCK", size)
        network = network_of_seven()
        to_formation(network, silent)
        to_formed(network)
        found.append(formed(network))
        network.to_switched()
        assert network.weights(1)
    assert found == found[:1] * len(found)


@pytest.mark.parametrize(("size", "blocks"), [(1, 16), (2, 8), (3, 5), (7, 3), (8, 2), (9, 1)])
def test_a_block_tallies_one_part_and_drafts_one(size: int, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last part that is full is known to be the last one block later."""
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", size)
    network = network_of_seven()
    to_formation(network, [])
    assert to_formed(network) == blocks
    assert list(forming.parts(network.state, 1)) == []
    assert forming.formation(network.state) is None


def test_before_the_switch_all_that_is_left_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", 1)
    network = Network(dict.fromkeys(HOSTS, 10), hardware={name: [node(0)] for name in HOSTS})
    network.sprint({name: {0: 50} for name in HOSTS})
    assert network.weights(1) == dict.fromkeys(HOSTS, 50)
    listed = members.active_participants(network.state, 1)
    assert listed is not None
    assert (listed.created_at_block_height, listed.effective_block_height) == (63, 64)


@pytest.mark.parametrize("height", range(FORMED_AT + 1, FORMED_AT + 9))
def test_an_export_in_the_middle_goes_on_to_the_same_members(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", 2)
    untouched, network = network_of_seven(), network_of_seven()
    for each in (untouched, network):
        to_formation(each, [])
        each.advance(height)
    document = genesis.export(network.state)
    for prefix in (forming.FORMATION, forming.PARTS):
        for row, _ in list(network.state.iterate(members.STORE, prefix, prefix + b"\xff")):
            network.state.delete(members.STORE, row)
    genesis.load(network.block, document)
    assert genesis.export(network.state) == document
    for each in (untouched, network):
        to_formed(each)
    assert formed(network) == formed(untouched)


@pytest.mark.parametrize("height", [FORMED_AT + 5, FORMED_AT + DELAY, FORMED_AT + DELAY + 7])
def test_a_chain_that_begins_later_still_forms(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", 3)
    untouched, network = network_of_seven(), network_of_seven()
    for each in (untouched, network):
        to_formation(each, [])
    network.skip_to(height)
    for each in (untouched, network):
        each.advance(max(height, FORMED_AT + DELAY) + 1)
    assert formed(network) == formed(untouched)
    assert epochs.effective_index(network.state) == 1


def test_until_then_nobody_is_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", 2)
    network = network_of_seven()
    to_formation(network, [])
    for _ in range(4):
        assert not members.is_member(network.state, 1, key("alice").address)
        with pytest.raises(Rejection) as refusal:
            network.query("ActiveParticipants", query_pb2.QueryActiveParticipantsRequest(epoch_index=1))
        assert refusal.value.code == NetworkCode.EPOCH_NOT_FOUND
        network.advance(network.block.height + 1)
    to_formed(network)
    assert members.is_member(network.state, 1, key("alice").address)


def test_w14_a_host_counts_as_it_stands_when_it_is_tallied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is judged later, when others were told to go for it, must not leave the epoch without members."""
    monkeypatch.setattr(formation, "FORMED_PER_BLOCK", 1)
    network = Network({"alice": 30, "bob": 20}, params=slow_params(), hardware={"alice": [node(0)]})
    network.to_sprint()
    network.deliver(network.commit_message("alice", {0: 100}))
    network.sprint_votes()
    network.advance(FORMED_AT + 2)
    record = participants.require_participant(network.state, key("alice").address)
    record.status = ParticipantStatus.INVALID
    participants.put(network.state, record)
    network.to_switched()
    assert set(network.weights(1)) == {"alice"}
    assert not epochs.effective(network.state).carried_over


# Invariants


def begun(**fields: object) -> Formation:
    last = key("alice").address
    return Formation(**({"epoch_index": 1, "parts": 1, "last": last} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "hosts", "words"),
    [
        (None, ["alice"], "no epoch is being formed"),
        (begun(epoch_index=2), [], "epoch 2 is being formed, which is not the upcoming one"),
        (begun(parts=2), ["alice"], "has 2 parts"),
        (begun(drafted=1), ["alice"], "has drafted what is not tallied"),
        (begun(drafted=2, decided=True), ["alice"], "has drafted what is not tallied"),
        (begun(last=""), ["alice"], "out of order"),
        (begun(), ["alice", "alice"], "out of order"),
    ],
)
def test_the_invariant_sees_a_formation_that_cannot_be(record: Formation | None, hosts: list[str], words: str) -> None:
    network = Network()
    network.to_sprint()
    check_formation(network.state)
    if record is not None:
        forming.put_formation(network.state, record)
    if hosts:
        rows = [FormingHost(address=key(name).address) for name in hosts]
        forming.put_part(network.state, 1, 0, FormationPart(hosts=rows))
    with pytest.raises(AssertionError, match=words):
        check_formation(network.state)
