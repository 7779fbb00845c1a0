"""Validators that do not sign are jailed and come back; those that sign twice are slashed and never do."""

from typing import Any

import pytest
from cosmos.slashing.v1beta1 import query_pb2
from cosmos.slashing.v1beta1.tx_pb2 import MsgUnjail, MsgUpdateParams
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from pivot.chain.errors import NetworkCode, Rejection, SdkCode, SlashingCode
from pivot.chain.handlers import MessageTable
from pivot.chain.modules.bank.state import COLLATERAL, COMMUNITY_POOL, balance, put_genesis_balance
from pivot.chain.modules.collateral.state import collateral, put_collateral
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.slashing import genesis
from pivot.chain.modules.slashing.invariants import check_signing
from pivot.chain.modules.slashing.messages import LONGEST_JAIL_SECONDS, LONGEST_WINDOW, MESSAGES
from pivot.chain.modules.slashing.queries import FOR_EVER, QUERIES
from pivot.chain.modules.slashing.state import (
    Sentence,
    Signing,
    decimal,
    is_jailed,
    missed,
    params,
    published_params,
    put_missed,
    put_params,
    put_sentence,
    put_signing,
    rules,
    sentence,
    signing,
)
from pivot.primitives.addresses import consensus_address, consensus_text, operator
from pivot.primitives.fixed_point import ONE
from pivot.protocol.messages import signers, type_url
from tests.chain.chain import BLOCK_INTERVAL, consensus_key, key, plain_block
from tests.chain.modules.network import Network, node

HOSTS = ("alice", "bob", "carol")
ALICE, BOB, CAROL = (key(name).address for name in HOSTS)
CAROLS = consensus_address(consensus_key("carol"))
_TABLE = MessageTable(MESSAGES)
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def network_with(window: int = 10, *, signing: tuple[str, ...] = ("alice", "bob"), jail: int = 2) -> Network:
    """Three validators, of whom carol does not sign; she has 1,000 ngonka of collateral."""
    network = Network(hardware={name: [node(0)] for name in HOSTS}, signing=signing)
    changed = published_params()
    changed.signed_blocks_window = window
    changed.downtime_jail_duration.seconds = jail
    put_params(network.state, changed)
    put_genesis_balance(network.state, COLLATERAL, 1000)
    put_collateral(network.state, CAROL, 1000)
    return network


def run(network: Network, message: Message) -> Message:
    handler = _TABLE.find(type_url(message))
    assert handler is not None
    handler.check(message)
    assert handler.gas(message) > 0
    with network.block.frame():
        return handler.handle(network.block, message)


def refused(network: Network, message: Message, code: int, codespace: str, words: str) -> None:
    before = network.state.changes()
    with pytest.raises(Rejection, match=words) as refusal:
        run(network, message)
    assert (refusal.value.code, refusal.value.codespace) == (code, codespace)
    assert network.state.changes() == before


def unjail(name: str) -> MsgUnjail:
    return MsgUnjail(validator_addr=operator(key(name).address))


def ask(network: Network, method: str, request: Any) -> Any:
    return _ANSWERS[method](network.view, request)


def info(network: Network, name: str) -> Any:
    asked = query_pb2.QuerySigningInfoRequest(cons_address=consensus_text(consensus_address(consensus_key(name))))
    return ask(network, "SigningInfo", asked).val_signing_info


# ---- Liveness ----


def test_who_misses_more_than_half_of_a_window_is_slashed_and_jailed() -> None:
    network = network_with()
    network.advance(11)
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}  # not judged before a whole window has passed
    assert network.events("liveness")[-1] == {
        "address": consensus_text(CAROLS),
        "missed_blocks": "10",
        "height": "11",
    }
    network.advance(12)
    assert network.powers() == {"alice": 30, "bob": 20}
    assert is_jailed(network.state, CAROL)
    assert collateral(network.state, CAROL) == 990
    assert balance(network.state, COMMUNITY_POOL) == 10


def test_the_published_event_tells_of_it() -> None:
    network = network_with()
    network.advance(11)
    (event,) = network.events("slash")
    assert event == {
        "address": consensus_text(CAROLS),
        "power": "10",
        "reason": "missing_signature",
        "jailed": consensus_text(CAROLS),
        "burned_coins": "10",
    }
    assert network.events("slash_collateral")[0]["reason"] == "missing_signature"


def test_a_block_in_which_all_sign_changes_no_row() -> None:
    network = network_with(signing=HOSTS)
    before = list(network.state.iterate("slashing"))
    network.advance(40)
    assert list(network.state.iterate("slashing")) == before


def test_half_of_a_window_may_be_missed_for_ever() -> None:
    network = network_with()
    for height in range(1, 60):
        network.signing = HOSTS if height % 2 else ("alice", "bob")
        network.advance(height + 1)
    assert network.powers()["carol"] == 10
    assert len(list(missed(network.state, CAROLS))) <= 6


def test_what_was_missed_before_the_window_is_forgotten() -> None:
    network = network_with()
    network.advance(6)
    network.signing = HOSTS
    network.advance(30)
    assert info(network, "carol").missed_blocks_counter == 0
    network.signing = ("alice", "bob")
    network.advance(34)
    assert network.powers()["carol"] == 10
    assert info(network, "carol").missed_blocks_counter == len(list(missed(network.state, CAROLS))) == 4


def test_a_newcomer_is_judged_after_a_window_of_its_own() -> None:
    network = network_with(window=20, signing=HOSTS)
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({**{name: {0: 100} for name in HOSTS}, "dave": {0: 100}})
    entered = network.block.height - 1
    network.advance(entered + 20)
    assert "dave" in network.powers()
    network.advance(entered + 22)
    assert "dave" not in network.powers()
    assert set(network.powers()) == set(HOSTS)


def test_jailed_keys_are_not_counted_and_never_leave_an_empty_set() -> None:
    network = network_with(signing=())
    network.advance(30)
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}  # nobody else is left
    assert all(is_jailed(network.state, key(name).address) for name in HOSTS)
    assert list(missed(network.state, CAROLS)) == []


def test_a_vote_of_a_key_that_nobody_owns_or_watches_changes_nothing() -> None:
    network = network_with()
    network.state.delete("slashing", b"Signing/" + CAROLS)
    network.advance(30)
    assert network.powers()["carol"] == 10


# ---- Coming back ----


def test_a_validator_comes_back_when_it_has_sat_out_its_time() -> None:
    network = network_with()
    refused(network, unjail("carol"), SlashingCode.NOT_JAILED, "slashing", "not jailed")
    network.advance(11)
    jailed_at = network.block.time
    network.advance(15)
    refused(network, unjail("carol"), SlashingCode.STILL_JAILED, "slashing", "still jailed")
    assert info(network, "carol").jailed_until.seconds == (jailed_at + 2 * 10**9) // 10**9
    network.signing = HOSTS
    network.advance(11 + 2 * 10**9 // BLOCK_INTERVAL)
    run(network, unjail("carol"))
    network.advance(network.block.height + 1)
    assert network.powers() == {"alice": 30, "bob": 20, "carol": 10}
    again = signing(network.state, CAROLS)
    assert again == Signing(network.block.height - 1)
    network.advance(network.block.height + 15)
    assert network.powers()["carol"] == 10


def test_a_rotation_does_not_end_a_sentence() -> None:
    network = network_with(jail=3600)
    network.advance(12)
    network.register("carol", consensus="other")
    network.sprint({name: {0: 100} for name in HOSTS})
    assert network.weights(1) == dict.fromkeys(HOSTS, 100)
    assert network.powers() == {"alice": 100, "bob": 100}
    refused(network, unjail("carol"), SlashingCode.STILL_JAILED, "slashing", "still jailed")


def test_a_message_to_unjail_is_signed_by_the_operators_account() -> None:
    assert signers(unjail("carol")) == [CAROL]
    assert signers(MsgUnjail(validator_addr="gonkavaloper1x")) == ["gonkavaloper1x"]


def test_who_cannot_be_a_validator_is_refused() -> None:
    network = network_with()
    refused(network, MsgUnjail(validator_addr=CAROL), SdkCode.INVALID_ADDRESS, "sdk", "validator_addr")
    refused(network, unjail("stranger"), SlashingCode.NO_VALIDATOR, "slashing", "is no host")


def test_who_is_jailed_for_ever_stays() -> None:
    network = network_with()
    put_sentence(network.state, CAROL, Sentence(0, for_ever=True))
    refused(network, unjail("carol"), SlashingCode.TOMBSTONED, "slashing", "for ever")
    found = info(network, "carol")
    assert (found.tombstoned, found.jailed_until.seconds) == (True, FOR_EVER)


# ---- Parameters, queries ----


def test_only_governance_changes_the_parameters() -> None:
    network = network_with()
    changed = published_params()
    changed.signed_blocks_window = 7
    refused(network, MsgUpdateParams(authority=ALICE, params=changed), NetworkCode.NOT_GOVERNANCE, "inference", "gov")
    run(network, MsgUpdateParams(authority=AUTHORITY, params=changed))
    assert params(network.state) == changed
    assert ask(network, "Params", query_pb2.QueryParamsRequest()).params == changed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signed_blocks_window", 0),
        ("signed_blocks_window", LONGEST_WINDOW + 1),
        ("min_signed_per_window", b"0"),
        ("min_signed_per_window", b""),
        ("min_signed_per_window", b"0.5"),
        ("min_signed_per_window", b"9" * 5000),
        ("slash_fraction_downtime", decimal(ONE + 1)),
        ("slash_fraction_double_sign", b"-1"),
        ("downtime_jail_duration", Duration(seconds=0)),
        ("downtime_jail_duration", Duration(seconds=LONGEST_JAIL_SECONDS + 1)),
        ("downtime_jail_duration", Duration(seconds=1, nanos=1)),
    ],
)
def test_parameters_that_cannot_be_are_refused(field: str, value: Any) -> None:
    network = network_with()
    changed = published_params()
    if field == "downtime_jail_duration":
        changed.downtime_jail_duration.CopyFrom(value)
    else:
        setattr(changed, field, value)
    message = MsgUpdateParams(authority=AUTHORITY, params=changed)
    refused(network, message, NetworkCode.INVALID_FIELD, "inference", f"params.{field}")


def test_a_chain_without_parameters_of_its_own_has_the_published_ones() -> None:
    found = rules(plain_block().state)
    assert (found.window, found.most_missed, found.jail_ns) == (100, 50, 600 * 10**9)
    assert (found.double_sign_fraction, found.downtime_fraction) == (ONE // 20, ONE // 100)


def test_signing_infos_tell_of_the_whole_set() -> None:
    network = network_with()
    network.advance(6)
    listed = ask(network, "SigningInfos", query_pb2.QuerySigningInfosRequest())
    counts = {each.address: each.missed_blocks_counter for each in listed.info}
    assert counts == {
        consensus_text(consensus_address(consensus_key(name))): 5 if name == "carol" else 0 for name in HOSTS
    }
    assert info(network, "carol").index_offset == 6
    with pytest.raises(Rejection, match="is not in the engine's set") as refusal:
        info(network, "dave")
    assert refusal.value.code == SlashingCode.NO_SIGNING_INFO
    for wrong in ("x", consensus_text(bytes(19))):
        with pytest.raises(Rejection) as refusal:
            ask(network, "SigningInfo", query_pb2.QuerySigningInfoRequest(cons_address=wrong))
        assert refusal.value.code == SdkCode.INVALID_ADDRESS


# ---- Invariant, genesis ----


def test_the_invariant_sees_blocks_that_are_counted_wrongly() -> None:
    network = network_with()
    network.advance(5)
    put_missed(network.state, CAROLS, 3000)
    with pytest.raises(AssertionError, match="are counted as"):
        check_signing(network.state)


def test_an_export_loads_into_the_same_rows() -> None:
    network = network_with()
    network.advance(14)
    network.signing = ("alice",)
    network.advance(17)
    restored = plain_block()
    genesis.load(restored, genesis.export(network.state))
    assert list(restored.state.iterate("slashing")) == list(network.state.iterate("slashing"))
    assert sentence(restored.state, CAROL) is not None
    assert list(missed(restored.state, consensus_address(consensus_key("bob"))))


def test_a_genesis_in_the_sdks_shape_is_taken_and_a_wrong_one_is_not() -> None:
    block = plain_block()
    document = genesis.export(block.state)
    document["params"]["min_signed_per_window"] = "0.050000000000000000"
    genesis.load(block, {"params": document["params"], "signing_infos": [], "missed_blocks": []})
    assert rules(block.state).most_missed == 95
    document["params"]["signed_blocks_window"] = "0"
    with pytest.raises(Rejection, match="signed_blocks_window"):
        genesis.load(block, document)
    lost = [{"address": consensus_text(CAROLS), "missed_blocks": []}]
    with pytest.raises(ValueError, match="without a signing info"):
        genesis.load(block, {"missed_blocks": lost})


def test_a_key_is_forgotten_when_it_leaves_the_set() -> None:
    network = network_with(window=1000)
    network.advance(8)
    assert list(missed(network.state, CAROLS))
    network.sprint({name: {0: 100} for name in ("alice", "bob")})
    assert signing(network.state, CAROLS) is None
    assert not list(missed(network.state, CAROLS))
    put_signing(network.state, CAROLS, Signing(5))
    check_signing(network.state)
