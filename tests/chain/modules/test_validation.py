"""Checks of answers: who is drawn, what a report changes, and what a claim needs."""

import pytest

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences import answers as finished
from pivot.chain.modules.inferences.answers import answers, answers_in, details, requests, segment_at
from pivot.chain.modules.inferences.invariants import check_shares
from pivot.chain.modules.inferences.lifetime import prune as prune_inferences
from pivot.chain.modules.inferences.state import put
from pivot.chain.modules.params.state import set_params
from pivot.chain.modules.randomness.state import put_chain
from pivot.chain.modules.rewards.state import put_settle_amount, settle_amount, stats
from pivot.chain.modules.status.state import standing
from pivot.chain.modules.validation import invariants
from pivot.chain.modules.validation.duties import drawn_for, powers, require_duties_done
from pivot.chain.modules.validation.messages import MAX_REPORTS
from pivot.chain.modules.validation.state import DUTIES, REPORTS, STORE, duties, prune, put_duties, reported
from pivot.chain.pagination import prefix_end
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CheckerDuties,
    HashChain,
    InferenceStatus,
    ParticipantStatus,
)
from tests.chain.chain import key
from tests.chain.modules.checking import COST, PASSED, Checking, checking_params
from tests.chain.requests import EPOCH, MODEL

SEGMENT = 7
"""In which the network's first block, at height 100, lies."""
ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
HALF = COST // 2
THIRD = COST // 3


def codes(results: object) -> list[int]:
    return [result.code for result in results]  # type: ignore[attr-defined]


# What is written down about an answer


def test_an_answer_leaves_what_decides_who_checks_it() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    found = details(network.state, EPOCH, SEGMENT, inference_id)
    assert found is not None
    assert (found.epoch_id, found.segment, found.executor_id, found.model) == (EPOCH, SEGMENT, ALICE, MODEL)
    assert (found.executor_power, found.total_power, found.executor_reputation) == (100, 200, 0)
    assert (found.traffic_basis, found.created_at_block_height) == (1, 100)
    record = network.record(inference_id)
    assert (record.finished_epoch_id, record.segment) == (EPOCH, SEGMENT)
    network.answer("bob")
    assert (requests(network.state, EPOCH), answers_in(network.state, EPOCH, SEGMENT)) == (2, 2)
    assert answers_in(network.state, EPOCH, 0) == 0
    assert requests(network.state, -1) == 0
    network.check()


def test_traffic_is_that_of_the_busier_of_two_epochs() -> None:
    network = Checking()
    for _ in range(3):
        network.answer("alice")
    network.switch()
    late = network.answer("alice")
    found = details(network.state, 2, 0, late)
    assert found is not None
    assert found.traffic_basis == 3


def test_the_last_segment_lasts_until_the_next_epoch_serves() -> None:
    served = epochs.effective(Checking().state)
    assert segment_at(served, served.boundaries.set_new_validators + 1) == 0
    assert segment_at(served, served.boundaries.set_new_validators + 5) == 0
    assert segment_at(served, served.boundaries.set_new_validators + 6) == 1
    assert segment_at(served, served.boundaries.set_new_validators + 10_000) == SEGMENTS - 1


def test_a_late_answer_is_checked_by_those_who_serve_when_it_comes() -> None:
    network = Checking()
    network.switch({"alice": 100, "bob": 60})
    late = network.answer("carol", epoch=1)
    record = network.record(late)
    assert (record.epoch_id, record.finished_epoch_id, record.segment) == (1, 2, 0)
    network.after_segment(0)
    assert codes(network.report("bob", 0, {late: PASSED}, epoch=2)) == [0]
    assert codes(network.report("alice", 0, {late: PASSED}, epoch=2)) == [0]


def test_answers_of_an_empty_segment_or_epoch_are_none() -> None:
    network = Checking()
    assert answers(network.state, EPOCH, 3) == ()
    network.answer("alice")
    network.state.delete(epochs.STORE, epochs.epoch_key(epochs.EPOCHS, EPOCH))
    assert answers(network.state, EPOCH, SEGMENT) == ()


def test_a_draw_sees_an_answer_that_came_since_the_last_one() -> None:
    network = Checking()
    network.answer("alice")
    assert len(answers(network.state, EPOCH, SEGMENT)) == 1
    assert answers(network.state, EPOCH, SEGMENT) is answers(network.state, EPOCH, SEGMENT)
    network.answer("alice")
    assert len(answers(network.state, EPOCH, SEGMENT)) == 2


# Duties


def test_d13_duties_follow_from_the_element_of_the_segment() -> None:
    network = Checking(params=checking_params(max_validation_average=Decimal(value=1)))
    ids = [network.answer("alice") for _ in range(40)]
    network.after_segment(SEGMENT)
    drawn = {}
    for name in ("bob", "carol"):
        element = network.element(name, SEGMENT)
        drawn[name] = drawn_for(network.state, EPOCH, SEGMENT, key(name).address, element)
        network.reveal(name, SEGMENT)
        assert network.duties(name).due == len(drawn[name])
    assert 0 < len(drawn["carol"]) < len(drawn["bob"]) < 40
    assert set(drawn["bob"]) | set(drawn["carol"]) <= set(ids)
    assert drawn_for(network.state, EPOCH, SEGMENT, BOB, network.element("bob", SEGMENT + 1)) != drawn["bob"]
    network.check()


def test_d13_nobody_is_drawn_for_its_own_answers_or_without_serving_the_model() -> None:
    network = Checking()
    network.answer("alice")
    element = network.element("alice", SEGMENT)
    assert drawn_for(network.state, EPOCH, SEGMENT, ALICE, element) == []
    assert powers(network.state, EPOCH, ALICE) == {MODEL: 100}
    assert powers(network.state, EPOCH, key("mallory").address) == {}
    assert powers(network.state, 9, ALICE) == {}
    assert drawn_for(network.state, EPOCH, SEGMENT, key("mallory").address, element) == []


def test_d13_no_report_before_the_segment_is_over() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.advance(104)
    network.reveal("bob", SEGMENT - 1)
    message = network.reports("bob", SEGMENT, {inference_id: PASSED}, element=network.element("bob", SEGMENT))
    refusal = network.refused(message)
    assert (refusal.code, "when its segment is over" in refusal.log) == (NetworkCode.WRONG_ELEMENT, True)
    network.advance(105)
    assert codes(network.deliver(message).reports) == [0]


def test_the_last_element_waits_for_the_switch() -> None:
    network = Checking()
    network.after_segment(SEGMENTS - 1)
    network.reveal("bob", SEGMENTS - 2)
    refusal = network.refused(network.reveal_message("bob", SEGMENTS - 1))
    assert (refusal.code, "when epoch 2 serves" in refusal.log) == (NetworkCode.WRONG_ELEMENT, True)


def test_reports_bring_their_element_along_once_or_again() -> None:
    network = Checking()
    first, second = network.answer("alice"), network.answer("alice")
    network.after_segment(SEGMENT)
    element = network.element("bob", SEGMENT)
    assert (
        "element 0 comes before"
        in network.refused(network.reports("bob", SEGMENT, {first: PASSED}, element=element)).log
    )
    network.reveal("bob", SEGMENT - 1)
    assert "is not revealed" in network.refused(network.reports("bob", SEGMENT, {first: PASSED})).log
    assert codes(network.deliver(network.reports("bob", SEGMENT, {first: PASSED}, element=element)).reports) == [0]
    wrong = network.reports("bob", SEGMENT, {second: PASSED}, element=bytes(32))
    assert network.refused(wrong).code == NetworkCode.WRONG_ELEMENT
    assert codes(network.deliver(network.reports("bob", SEGMENT, {second: PASSED}, element=element)).reports) == [0]
    assert (network.duties("bob").due, network.duties("bob").done) == (2, 2)


def test_an_element_that_is_far_back_follows_from_the_last_one() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT + 5)
    network.reveal("bob", SEGMENT + 5)
    assert codes(network.report("bob", SEGMENT, {inference_id: PASSED})) == [0]


# Reports


def test_a_pass_validates_the_answer_and_shares_its_pay() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: PASSED})
    assert network.earned() == {"alice": HALF, "bob": HALF}
    assert network.record(inference_id).status == InferenceStatus.VALIDATED
    network.report("carol", SEGMENT, {inference_id: PASSED})
    assert network.earned() == {"alice": THIRD, "bob": THIRD, "carol": THIRD}
    assert list(network.record(inference_id).validated_by) == [BOB, CAROL]
    assert network.events("inference_validation") == [
        {"inference_id": inference_id, "validator": who, "needs_revalidation": "false", "passed": "true"}
        for who in (BOB, CAROL)
    ]
    assert stats(network.state, ALICE).validated_inferences == 1
    assert standing(network.state, ALICE).measurements == 1
    network.check()


def test_w5_a_report_nobody_was_drawn_for_is_refused() -> None:
    network = Checking(params=checking_params(max_validation_average=Decimal(value=1)))
    ids = [network.answer("alice") for _ in range(12)]
    network.after_segment(SEGMENT)
    network.reveal("bob", SEGMENT)
    drawn = drawn_for(network.state, EPOCH, SEGMENT, BOB, network.element("bob", SEGMENT))
    results = network.report("bob", SEGMENT, dict.fromkeys(ids, PASSED))
    assert {each.inference_id: each.code for each in results} == {
        each: 0 if each in drawn else NetworkCode.NOT_DRAWN for each in ids
    }
    assert 0 < len(drawn) < len(ids)
    assert network.duties("bob").done == network.duties("bob").due == len(drawn)
    assert network.earned()["bob"] == HALF * len(drawn)
    refused = network.events("report_refused")
    assert len(refused) == len(ids) - len(drawn)
    network.check()


def test_w5_a_report_is_taken_once() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    assert codes(network.report("bob", SEGMENT, {inference_id: PASSED})) == [0]
    assert codes(network.report("bob", SEGMENT, {inference_id: PASSED})) == [NetworkCode.ALREADY_DONE]
    assert network.earned() == {"alice": HALF, "bob": HALF}
    assert network.duties("bob").done == 1


def test_w5_the_executor_and_strangers_earn_nothing_by_reports() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    assert codes(network.report("alice", SEGMENT, {inference_id: PASSED})) == [NetworkCode.NOT_DRAWN]
    assert "its own answers" in network.events("report_refused")[0]["log"]
    stranger = network.reports("bob", SEGMENT, {inference_id: PASSED}, creator=key("mallory").address)
    assert network.refused(stranger).code == NetworkCode.NOT_A_MEMBER
    assert network.earned() == {"alice": COST}


def test_bad_items_are_refused_one_by_one() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.reveal("bob", SEGMENT)
    message = network.reports("bob", SEGMENT, {"unknown": PASSED, inference_id: 0})
    message.reports.add(inference_id=inference_id, verdict=PASSED, value_e6=10**6 + 1)
    message.reports.add(inference_id=inference_id, verdict=PASSED, value_e6=10**6)
    expected = [NetworkCode.INFERENCE_NOT_FOUND, NetworkCode.INVALID_FIELD, NetworkCode.INVALID_FIELD, 0]
    assert codes(network.deliver(message).reports) == expected


def test_a_report_names_the_segment_of_its_answer() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT + 1)
    assert codes(network.report("bob", SEGMENT + 1, {inference_id: PASSED})) == [NetworkCode.INFERENCE_NOT_FOUND]


def test_reports_are_checked_before_they_are_run() -> None:
    network = Checking()
    few = {"id": PASSED}
    assert network.refused(network.reports("bob", SEGMENT, few, creator="nobody")).code == SdkCode.INVALID_ADDRESS
    assert network.refused(network.reports("bob", SEGMENTS, few)).code == NetworkCode.INVALID_FIELD
    assert network.refused(network.reports("bob", SEGMENTS, few, element=bytes(32))).code == NetworkCode.INVALID_FIELD
    assert network.refused(network.reports("bob", SEGMENT, few, element=bytes(31))).code == NetworkCode.INVALID_FIELD
    assert network.refused(network.reports("bob", SEGMENT, {})).code == NetworkCode.BATCH_TOO_LARGE
    many = {str(number): PASSED for number in range(MAX_REPORTS + 1)}
    assert network.refused(network.reports("bob", SEGMENT, many)).code == NetworkCode.BATCH_TOO_LARGE
    long = {f"{number}{'x' * 600}": PASSED for number in range(MAX_REPORTS)}
    assert network.refused(network.reports("bob", SEGMENT, long)).code == NetworkCode.BATCH_TOO_LARGE
    wrong = network.reveal_message("bob", SEGMENT)
    wrong.element = b""
    assert network.refused(wrong).code == NetworkCode.INVALID_FIELD


def test_only_the_epoch_in_force_and_the_one_before_are_reported_on() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.switch()
    assert codes(network.report("bob", SEGMENT, {inference_id: PASSED})) == [0]
    network.switch()
    late = network.reports("carol", SEGMENT, {inference_id: PASSED})
    assert network.refused(late).code == NetworkCode.EPOCH_NOT_FOUND


def test_a_member_without_a_hash_chain_cannot_report() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.state.delete("inference", epochs.epoch_key(b"HashChain/value/", EPOCH, BOB))
    network.after_segment(SEGMENT)
    refusal = network.refused(network.reports("bob", SEGMENT, {inference_id: PASSED}))
    assert (refusal.code, "no hash chain" in refusal.log) == (NetworkCode.WRONG_ELEMENT, True)


def test_an_invalid_host_checks_nobody() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.reveal("bob", SEGMENT)
    network.set_status("bob", ParticipantStatus.INVALID)
    assert network.refused(network.reports("bob", SEGMENT, {inference_id: PASSED})).code == NetworkCode.NOT_A_MEMBER


def test_work_of_a_settled_epoch_is_still_shared() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.switch()
    network.report("bob", SEGMENT, {inference_id: PASSED})
    assert network.earned(1) == {"alice": HALF}
    assert network.earned(2) == {"bob": HALF}
    network.check()


def test_what_is_paid_out_is_not_shared_and_nobody_owes_anything() -> None:
    network = Checking(params=checking_params(missing_duties_allowed=Decimal(value=1)))
    inference_id = network.answer("alice")
    network.switch()
    network.claim("alice")
    network.report("bob", SEGMENT, {inference_id: PASSED})
    assert network.earned(2) == {}
    assert list(network.record(inference_id).validated_by) == [BOB]
    network.check()


def test_a_share_may_come_out_of_the_running_epochs_earnings() -> None:
    network = Checking(params=checking_params(missing_duties_allowed=Decimal(value=1)))
    inference_id = network.answer("alice")
    network.switch()
    network.claim("alice")
    network.answer("alice")
    network.report("bob", SEGMENT, {inference_id: PASSED})
    assert network.earned(2) == {"alice": COST - HALF, "bob": HALF}
    network.check()


def test_a_settled_amount_of_which_nothing_is_left_is_gone() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.switch()
    owed = settle_amount(network.state, 1, ALICE)
    assert owed is not None
    owed.work_coins, owed.reward_coins = HALF, 0
    put_settle_amount(network.state, owed)
    with network.block.frame():
        network.report("bob", SEGMENT, {inference_id: PASSED})
    assert settle_amount(network.state, 1, ALICE) is None


# Claims


def settled(network: Checking, name: str) -> None:
    network.reveal(name, SEGMENTS - 1)


def test_d13_a_claim_waits_for_its_duties() -> None:
    network = Checking()
    first, second = network.answer("alice"), network.answer("alice")
    network.switch()
    settled(network, "bob")
    network.report("bob", SEGMENT, {first: PASSED})
    with pytest.raises(NetworkError, match="Inference not validated: 1 of 2 duties"):
        network.claim("bob")
    network.report("bob", SEGMENT, {second: PASSED})
    assert network.claim("bob") > 0
    network.check()


def test_w22_one_missing_check_forfeits_nothing_within_the_allowance() -> None:
    network = Checking(params=checking_params(missing_duties_allowed=Decimal(value=25, exponent=-2)))
    ids = [network.answer("alice") for _ in range(4)]
    network.switch()
    settled(network, "bob")
    network.report("bob", SEGMENT, dict.fromkeys(ids[:2], PASSED))
    with pytest.raises(NetworkError, match="2 of 4 duties"):
        network.claim("bob")
    network.report("bob", SEGMENT, {ids[2]: PASSED})
    assert network.claim("bob") > 0


def test_w22_a_vote_on_parameters_changes_no_duty_of_an_epoch_that_runs() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    element = network.element("bob", SEGMENT)
    before = drawn_for(network.state, EPOCH, SEGMENT, BOB, element)
    changed = checking_params(
        max_validation_average=Decimal(value=1, exponent=-2), missing_duties_allowed=Decimal(value=1)
    )
    set_params(network.state, changed)
    assert drawn_for(network.state, EPOCH, SEGMENT, BOB, element) == before == [inference_id]
    network.switch()
    settled(network, "bob")
    with pytest.raises(NetworkError, match="1 of 1 duties"):
        network.claim("bob")


def test_w22_a_host_alone_has_nobody_to_check_and_claims() -> None:
    network = Checking({"alice": 5})
    network.answer("alice")
    network.switch()
    settled(network, "alice")
    assert network.duties("alice").due == 0
    assert network.claim("alice") > 0


def test_d13_a_missing_element_is_a_missed_duty() -> None:
    network = Checking(params=checking_params(missing_duties_allowed=Decimal(value=99, exponent=-2)))
    network.answer("alice")
    network.switch()
    with pytest.raises(NetworkError, match=r"1 of 1 duties .* element 0 is not revealed"):
        network.claim("carol")
    network.reveal("carol", SEGMENT)
    with pytest.raises(NetworkError, match=r"1 of 1 duties of \w+ in epoch 1 are undone$"):
        network.claim("carol")


def test_who_had_no_sprint_to_commit_in_has_no_duties() -> None:
    network = Checking()
    network.answer("alice")
    require_duties_done(network.state, 0, ALICE)
    require_duties_done(network.state, 9, ALICE)
    require_duties_done(network.state, EPOCH, key("mallory").address)
    network.state.delete("inference", epochs.epoch_key(b"HashChain/value/", EPOCH, BOB))
    with pytest.raises(NetworkError, match="element 0 is not revealed"):
        require_duties_done(network.state, EPOCH, BOB)
    record = epochs.effective(network.state)
    record.carried_over = True
    epochs.put(network.state, record)
    require_duties_done(network.state, EPOCH, BOB)
    with pytest.raises(NetworkError, match="element 0 is not revealed"):
        require_duties_done(network.state, EPOCH, ALICE)


def test_a_claim_looks_at_counters_however_many_answers_there_were() -> None:
    network = Checking()
    put_chain(network.state, HashChain(participant=BOB, epoch_index=EPOCH, revealed=SEGMENTS))
    put_duties(network.state, CheckerDuties(participant=BOB, epoch_index=EPOCH, due=100_000, done=100_000))
    reads = []
    got = network.state.get
    network.state.get = lambda store, row: reads.append(row) or got(store, row)  # type: ignore[method-assign]
    require_duties_done(network.state, EPOCH, BOB)
    assert len(reads) < 10


# Pruning and invariants


def test_w24_reports_and_details_go_with_their_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Checking()
    ids = [network.answer("alice") for _ in range(3)]
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, dict.fromkeys(ids, PASSED))
    for _ in range(4):
        network.switch()
        prune(network.block)
        prune_inferences(network.block)
    assert list(reported(network.state, EPOCH, BOB)) == []
    assert network.duties("bob").due == 0
    for prefix in (finished.DETAILS, finished.SEGMENT_ROWS, finished.REQUESTS, b"CheckerShares/value/"):
        assert not list(network.state.iterate(STORE, prefix, prefix_end(prefix)))


def test_invariants_name_what_contradicts() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: PASSED})
    invariants.check_duties(network.state)
    put_duties(network.state, CheckerDuties(participant=BOB, epoch_index=EPOCH, due=1, done=2))
    with pytest.raises(AssertionError, match="do not fit"):
        invariants.check_duties(network.state)
    network.state.delete(STORE, epochs.epoch_key(DUTIES, EPOCH, BOB))
    network.state.delete(STORE, epochs.epoch_key(REPORTS, EPOCH, BOB, inference_id))
    network.state.set(STORE, epochs.epoch_key(finished.REQUESTS, EPOCH), (5).to_bytes(8))
    with pytest.raises(AssertionError, match="has 5 answers, its segments 1"):
        invariants.check_segments(network.state)


def test_the_invariant_of_shares_names_what_contradicts() -> None:
    network = Checking()
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: PASSED})
    check_shares(network.state)
    record = network.record(inference_id)
    record.validated_by.append(ALICE)
    put(network.state, record)
    with pytest.raises(AssertionError, match="two parts"):
        check_shares(network.state)
    record.actual_cost = 1
    put(network.state, record)
    with pytest.raises(AssertionError, match="which cost 1"):
        check_shares(network.state)


def test_rows_that_are_being_deleted_are_not_compared() -> None:
    network = Checking()
    network.switch()
    network.switch()
    put_duties(network.state, CheckerDuties(participant=BOB, epoch_index=EPOCH, due=1, done=1))
    invariants.check_duties(network.state)
    assert duties(network.state, EPOCH, BOB).due == 1
