"""The sequential test of hosts, what INVALID means, and that nothing but time ends it."""

import random

import pytest

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.bank.state import COLLATERAL, COMMUNITY_POOL, balance, move
from pivot.chain.modules.collateral.state import collateral, put_collateral
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members.formation import Work, form_some
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.participants.state import participant, require_participant, status_revision
from pivot.chain.modules.rewards.state import stats
from pivot.chain.modules.status.invariants import check_standings
from pivot.chain.modules.status.queries import QUERIES
from pivot.chain.modules.status.sequential import steps
from pivot.chain.modules.status.state import (
    SUSPENDED_EPOCHS,
    note_failed,
    note_passed,
    put_standing,
    release_due,
    standing,
    suspend,
    suspensions,
)
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import HostStanding, MLNodeInfo, ParticipantStatus
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key
from tests.chain.modules.checking import FAILED, PASSED, Checking, checking_params
from tests.chain.modules.network import Network, node, vote
from tests.chain.requests import make_start

ALICE, BOB = key("alice").address, key("bob").address
ACTIVE, INVALID, RAMPING = ParticipantStatus.ACTIVE, ParticipantStatus.INVALID, ParticipantStatus.RAMPING
SEGMENT = 7


def judged(outcomes: str, **limits: object) -> Checking:
    """Alice after checks of her answers: `+` passed, `-` failed."""
    network = Checking(params=checking_params(**limits))
    for each in outcomes:
        (note_passed if each == "+" else note_failed)(network.block, ALICE)
    return network


# The test


def test_the_steps_are_logarithms_of_likelihoods() -> None:
    test = steps(preset_params("mainnet").validation_params)
    assert test.passed == -95310179804324862  # ln(0.90 / 0.99)
    assert test.failed == 2302585092994045684  # ln(0.10 / 0.01)
    assert test.bound == 6906754778648553518  # ln(999)
    assert test.longest_run == 4


def test_a_host_is_ramping_until_it_has_been_checked_enough() -> None:
    assert judged("").status("alice") == ACTIVE
    assert judged("+").status("alice") == RAMPING
    assert judged("+" * 9).status("alice") == RAMPING
    assert judged("+" * 10).status("alice") == ACTIVE


def test_d15_evidence_makes_a_host_invalid_after_the_least_sample() -> None:
    failing = "--+--+++"
    assert judged(failing + "+").status("alice") == RAMPING
    assert judged(failing + "+-").status("alice") == INVALID
    assert judged("-++++-+++-").status("alice") == ACTIVE


def test_d15_four_failures_in_a_row_need_no_sample() -> None:
    assert judged("---").status("alice") == RAMPING
    assert judged("----").status("alice") == INVALID
    assert judged("---+---").status("alice") == RAMPING


def test_d15_good_answers_buy_no_unbounded_credit() -> None:
    network = judged("+" * 1_000)
    bound = steps(network.params.validation_params).bound
    assert int(standing(network.state, ALICE).evidence_e18) == -bound
    patient = "+" * 1_000 + "---+" * 2
    assert judged(patient).status("alice") == ACTIVE
    assert judged(patient + "-").status("alice") == INVALID


def test_an_honest_host_survives_and_a_fraud_does_not() -> None:
    chance = random.Random(1)
    test = steps(preset_params("mainnet").validation_params)

    def falls(rate: float, checks: int) -> bool:
        evidence = 0
        for number in range(checks):
            evidence = max(evidence + (test.failed if chance.random() < rate else test.passed), -test.bound)
            if number >= 10 and evidence >= test.bound:
                return True
        return False

    assert sum(falls(0.01, 1_000) for _ in range(300)) <= 6
    assert sum(falls(0.1, 1_000) for _ in range(100)) == 100


def test_a_status_that_changes_is_counted_and_told() -> None:
    network = judged("----")
    before = status_revision(network.state)
    assert before == 2  # RAMPING, then INVALID
    note_passed(network.block, ALICE)
    assert (network.status("alice"), status_revision(network.state)) == (INVALID, before)
    told = [each["status"] for each in network.events("participant_status")]
    assert told == ["RAMPING", "INVALID"]
    network.check()


# What INVALID means


def test_d8_an_invalid_host_keeps_its_place_in_the_draw_and_is_refused() -> None:
    network = judged("----")
    while True:
        network._requests += 1
        start = make_start(network.block, body=str(network._requests).encode(), agent="bob")
        if start.assigned_to == ALICE:
            break
    refusal = network.refused(start)
    assert (refusal.code, "take the next executor" in refusal.log) == (NetworkCode.NOT_DRAWN, True)
    second = make_start(network.block, body=str(network._requests).encode(), agent="bob", attempt=1)
    assert second.inference_id == start.inference_id
    network.deliver(second)


def test_w8_an_invalid_host_is_in_no_group_of_the_next_epoch() -> None:
    network = Network({"alice": 30, "bob": 20})
    for _ in range(5):
        note_failed(network.block, ALICE)
    network.to_sprint()
    upcoming = epochs.latest(network.state)
    nodes = (MLNodeInfo(node_id="node0", poc_weight=10, proven_weight=10),)
    work = [Work(address, nodes, 10, bytes(32)) for address in sorted([ALICE, BOB])]
    form_some(network.block, upcoming, iter(work))
    assert weights(network.state, upcoming.index) == ((BOB, 10),)


def test_w8_an_invalid_host_has_no_consensus_power() -> None:
    network = Network({"alice": 30, "bob": 20})
    network.advance(3)
    assert set(network.powers()) == {"alice", "bob"}
    for _ in range(5):
        note_failed(network.block, ALICE)
    network.advance(4)
    assert set(network.powers()) == {"bob"}


def test_w8_an_invalid_host_judges_nobodys_sprint() -> None:
    network = Network({"alice": 30, "bob": 20})
    network.declare("bob", node(0))
    network.to_sprint()
    network.deliver(network.commit_message("bob", {0: 10}))
    network.to_votes()
    for _ in range(5):
        note_failed(network.block, ALICE)
    hashed, _ = network.vote_messages("alice", [vote("bob")])
    with pytest.raises(NetworkError, match="judges nobody") as refusal:
        network.deliver(hashed)
    assert refusal.value.code == NetworkCode.NOT_A_MEMBER


def test_w7_registering_again_wipes_nothing() -> None:
    network = Network({"alice": 30, "bob": 20})
    for _ in range(5):
        note_failed(network.block, ALICE)
    before = standing(network.state, ALICE)
    network.register("alice", url="http://elsewhere.example:9000")
    assert require_participant(network.state, ALICE).status == INVALID
    assert standing(network.state, ALICE) == before
    assert before.failures == 5
    assert list(suspensions(network.state)) == [(SUSPENDED_EPOCHS + 1, ALICE)]


def test_d15_an_invalid_host_loses_part_of_its_collateral() -> None:
    network = Checking()
    move(network.state, key("developer").address, COLLATERAL, 1_000)
    put_collateral(network.state, ALICE, 1_000)
    for _ in range(5):
        note_failed(network.block, ALICE)
    assert collateral(network.state, ALICE) == 800
    assert balance(network.state, COMMUNITY_POOL) == 200
    network.check()


def test_an_invalid_host_comes_back_when_its_time_out_is_over() -> None:
    network = judged("----")
    until = 1 + SUSPENDED_EPOCHS + 1
    assert list(suspensions(network.state)) == [(until, ALICE)]
    network.state.set("inference", b"EffectiveEpochIndex/value/", (until - 1).to_bytes(8))
    release_due(network.block)
    assert network.status("alice") == INVALID
    network.state.set("inference", b"EffectiveEpochIndex/value/", until.to_bytes(8))
    release_due(network.block)
    assert network.status("alice") == RAMPING
    assert standing(network.state, ALICE) == HostStanding(participant=ALICE, evidence_e18="0")
    assert list(suspensions(network.state)) == []


# Evidence from reports and votes


def test_d15_disputes_that_are_lost_make_a_host_invalid() -> None:
    network = Checking({"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60})
    ids = [network.answer("alice") for _ in range(6)]
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, dict.fromkeys(ids, FAILED))
    for each in ids:
        network.vote("erin", each, invalid=True)
        network.vote("carol", each, invalid=True)
    assert network.status("alice") == INVALID
    assert standing(network.state, ALICE).failures == 6
    assert stats(network.state, ALICE).invalidated_inferences == 6
    network.check()


def test_w20_answers_that_cost_nothing_count_like_others() -> None:
    network = Checking()
    ids = [network.answer("alice", prompt_token_count=0, completion_token_count=0) for _ in range(10)]
    assert {network.record(each).actual_cost for each in ids} == {0}
    assert stats(network.state, ALICE).inference_count == 10
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, dict.fromkeys(ids, PASSED))
    assert standing(network.state, ALICE).measurements == 10
    assert network.status("alice") == ACTIVE
    network.check()


# Queries, invariants


def test_the_standing_is_told_with_the_reputation() -> None:
    network = judged("+-")
    (query,) = QUERIES
    answer = query.answer(network.view, query_pb2.QueryHostStandingRequest(participant=ALICE))
    assert isinstance(answer, query_pb2.QueryHostStandingResponse)
    assert (answer.standing.measurements, answer.standing.failures, answer.reputation) == (2, 1, 0)


def test_the_invariant_names_what_contradicts() -> None:
    network = judged("----")
    check_standings(network.state)
    suspend(network.state, ALICE, 99)
    with pytest.raises(AssertionError, match="suspended twice"):
        check_standings(network.state)
    network = judged("")
    suspend(network.state, ALICE, 99)
    with pytest.raises(AssertionError, match="not INVALID"):
        check_standings(network.state)
    network = judged("")
    suspend(network.state, key("mallory").address, 99)
    assert participant(network.state, key("mallory").address) is None
    with pytest.raises(AssertionError, match="not INVALID"):
        check_standings(network.state)
    network = judged("")
    put_standing(network.state, HostStanding(participant=ALICE, evidence_e18="0", failures=1))
    with pytest.raises(AssertionError, match="contradicts itself"):
        check_standings(network.state)
