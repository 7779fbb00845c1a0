"""How hosts do, as clients ask it."""

import pytest

from pivot.chain.errors import SdkError
from pivot.chain.modules.participants.queries import QUERIES
from pivot.primitives.addresses import OPERATOR_PREFIX, to_bytes
from pivot.primitives.bech32 import decode
from tests.chain.chain import key, plain_block
from tests.chain.modules.checking import COST, Checking
from tests.chain.requests import HOSTS, add_epoch

ALICE, BOB = key("alice").address, key("bob").address


def ask(network: Checking, method: str, **fields: object):
    handler = next(each for each in QUERIES if each.method.name == method)
    return handler.answer(network.view, handler.request(**fields))


def test_weight_and_reputation_of_one_host() -> None:
    network = Checking()
    network.switch()
    found = ask(network, "GetParticipantCurrentStats", participantId=ALICE)
    assert (found.weight, found.reputation) == (100, 3)
    stranger = ask(network, "GetParticipantCurrentStats", participantId=key("mallory").address)
    assert (stranger.weight, stranger.reputation) == (0, 0)
    with pytest.raises(SdkError, match="participantId"):
        ask(network, "GetParticipantCurrentStats", participantId="x")


def test_w26_all_members_with_the_epochs_index() -> None:
    network = Checking()
    found = ask(network, "GetAllParticipantCurrentStats")
    assert {each.participant_id: each.weight for each in found.participant_current_stats} == {
        key(name).address: weight for name, weight in HOSTS.items()
    }
    assert (found.epoch_id, found.block_height) == (1, network.block.height)


def test_what_members_earn_and_were_rewarded() -> None:
    network = Checking()
    network.switch()
    network.answer("alice")
    found = {each.account_address: each for each in ask(network, "GetParticipantsFullStats").participants_stats}
    assert set(found) == {key(name).address for name in HOSTS}
    assert (found[ALICE].earned_coins_current_epoch, found[BOB].earned_coins_current_epoch) == (COST, 0)
    assert found[ALICE].rewarded_coins_latest_epoch > found[BOB].rewarded_coins_latest_epoch > 0
    assert found[ALICE].epochs_completed == 1
    assert decode(found[ALICE].operator_address, OPERATOR_PREFIX) == to_bytes(ALICE)


def test_a_network_that_has_not_settled_anything_tells_zeros() -> None:
    network = Checking()
    network.state.set("inference", b"EffectiveEpochIndex/value/", bytes(8))
    assert list(ask(network, "GetParticipantsFullStats").participants_stats) == []
    add_epoch(network.block, 0, 0, {"alice": 1, "mallory": 1})
    found = ask(network, "GetParticipantsFullStats").participants_stats
    assert {(each.rewarded_coins_latest_epoch, each.epochs_completed) for each in found} == {(0, 0)}


def test_participants_are_counted() -> None:
    network = Checking()
    assert ask(network, "CountParticipants").total == len(HOSTS)
    network.block = plain_block()
    assert ask(network, "CountParticipants").total == 0
