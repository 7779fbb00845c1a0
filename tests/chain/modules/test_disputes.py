"""Votes on answers that a checker found wrong: one outcome each, in time, by those who can judge."""

import pytest

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode
from pivot.chain.modules.bank.state import balance, move
from pivot.chain.modules.disputes import voting
from pivot.chain.modules.disputes.invariants import check_disputes
from pivot.chain.modules.disputes.messages import MAX_VOTES
from pivot.chain.modules.disputes.queries import QUERIES
from pivot.chain.modules.disputes.state import (
    DISPUTES,
    STORE,
    VOTES,
    disputes,
    due,
    prune,
    put_dispute,
    put_vote,
    require_dispute,
    vote_of,
    votes,
)
from pivot.chain.modules.inferences.lifetime import prune as prune_inferences
from pivot.chain.modules.inferences.state import RECORDS, inference, put
from pivot.chain.modules.rewards.state import stats
from pivot.chain.modules.status.state import standing
from pivot.chain.pagination import prefix_end
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgVoteDisputes
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    DisputeOutcome,
    DisputeVote,
    InferenceStatus,
    ParticipantStatus,
)
from tests.chain.chain import key
from tests.chain.modules.checking import COST, FAILED, PASSED, WITHHELD, Checking, checking_params
from tests.chain.requests import DEVELOPER, DEVELOPER_COINS, GATEWAY_COINS, gateway

SEGMENT = 7
FIVE = {"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60}
"""Of a dispute between alice and bob, 120 have a vote."""
ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def disputed(hosts: dict[str, int] | None = None, verdict: int = FAILED, **fields: object) -> tuple[Checking, str]:
    """Bob has accused an answer of alice."""
    network = Checking(hosts or FIVE)
    inference_id = network.answer("alice", **fields)
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: verdict})
    return network, inference_id


def outcome(network: Checking, inference_id: str) -> str:
    return DisputeOutcome.Name(network.dispute(inference_id).outcome)


# Opening


def test_d14_a_failure_opens_a_dispute_among_those_who_can_judge() -> None:
    network, inference_id = disputed()
    found = network.dispute(inference_id)
    assert (found.executor, found.accuser, found.accusation) == (ALICE, BOB, FAILED)
    assert (found.electorate_weight, found.invalid_weight, found.valid_weight) == (120, 0, 0)
    assert (found.opened_at_height, found.deadline_height, found.epoch_index) == (105, 125, 1)
    assert network.record(inference_id).status == InferenceStatus.VOTING
    assert network.earned() == {"alice": COST // 2, "bob": COST // 2}
    (event,) = network.events("inference_validation")
    assert (event["needs_revalidation"], event["passed"]) == ("true", "false")
    (opened,) = network.events("dispute_opened")
    assert opened["accusation"] == AnswerVerdict.Name(FAILED)
    assert standing(network.state, ALICE).measurements == 0
    network.check()


def test_d14_a_withheld_artifact_is_decided_in_the_same_way() -> None:
    network, inference_id = disputed(verdict=WITHHELD)
    assert network.dispute(inference_id).accusation == WITHHELD
    network.vote("carol", inference_id, invalid=True)
    network.vote("erin", inference_id, invalid=True)
    assert outcome(network, inference_id) == "DISPUTE_INVALID"


# Outcomes


def test_d14_more_than_half_makes_the_answer_invalid_and_refunds_it() -> None:
    network, inference_id = disputed()
    assert network.vote("erin", inference_id, invalid=True).code == 0
    assert outcome(network, inference_id) == "DISPUTE_OPEN"
    assert network.vote("dave", inference_id, invalid=True).code == 0
    assert outcome(network, inference_id) == "DISPUTE_INVALID"
    record = network.record(inference_id)
    assert (record.status, record.actual_cost) == (InferenceStatus.INVALIDATED, 0)
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS
    assert network.earned() == {}
    assert stats(network.state, ALICE).invalidated_inferences == 1
    assert (standing(network.state, ALICE).failures, standing(network.state, ALICE).consecutive_failures) == (1, 1)
    assert network.events("inference_invalidated") == [{"inference_id": inference_id, "refunded": str(COST)}]
    network.check()


def test_d14_a_false_accuser_loses_its_pay_for_the_answer() -> None:
    network, inference_id = disputed()
    network.vote("erin", inference_id, invalid=False)
    assert outcome(network, inference_id) == "DISPUTE_VALID"
    assert network.record(inference_id).status == InferenceStatus.VALIDATED
    assert list(network.record(inference_id).validated_by) == []
    assert network.earned() == {"alice": COST}
    assert standing(network.state, ALICE).measurements == 1
    assert standing(network.state, ALICE).failures == 0
    network.check()


def test_d14_what_is_not_decided_at_its_deadline_stays_valid() -> None:
    network, inference_id = disputed()
    network.vote("erin", inference_id, invalid=True)
    network.advance(125)
    assert outcome(network, inference_id) == "DISPUTE_OPEN"
    network.advance(126)
    assert outcome(network, inference_id) == "DISPUTE_LAPSED"
    assert network.record(inference_id).status == InferenceStatus.VALIDATED
    assert network.earned() == {"alice": COST // 2, "bob": COST // 2}
    assert standing(network.state, ALICE).measurements == 0
    assert network.vote("dave", inference_id, invalid=True).code == NetworkCode.ALREADY_DONE


def test_w25_exactly_half_is_not_invalid_and_there_is_one_outcome() -> None:
    network, inference_id = disputed()
    network.vote("erin", inference_id, invalid=True)
    assert outcome(network, inference_id) == "DISPUTE_OPEN"
    network.vote("carol", inference_id, invalid=False)
    network.vote("dave", inference_id, invalid=False)
    found = network.dispute(inference_id)
    assert (found.invalid_weight, found.valid_weight, found.electorate_weight) == (60, 60, 120)
    assert outcome(network, inference_id) == "DISPUTE_VALID"
    network.check()


def test_w25_an_executor_who_has_left_is_judged_all_the_same() -> None:
    network = Checking(FIVE)
    inference_id = network.answer("alice")
    network.switch({name: weight for name, weight in FIVE.items() if name != "alice"})
    network.report("bob", SEGMENT, {inference_id: FAILED})
    network.vote("erin", inference_id, invalid=True)
    network.vote("carol", inference_id, invalid=True)
    assert outcome(network, inference_id) == "DISPUTE_INVALID"
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS
    network.check()


def test_w25_no_dispute_stays_open_for_ever() -> None:
    network = Checking(FIVE, params=checking_params(dispute_duration=120))
    old = network.answer("alice")
    network.switch()
    network.report("bob", SEGMENT, {old: FAILED})
    assert network.dispute(old).deadline_height == 250 < network.block.height + 120
    young = network.answer("alice")
    network.advance(280)
    network.report("carol", 0, {young: FAILED}, epoch=2)
    assert network.dispute(young).deadline_height == 400
    network.advance(281)
    assert outcome(network, old) == "DISPUTE_LAPSED"
    network.switch()
    network.advance(400)
    network.advance(401)
    assert outcome(network, young) == "DISPUTE_LAPSED"
    assert not list(due(network.state, 10**6))


def test_an_accusation_when_no_time_is_left_for_a_vote_lapses_at_once() -> None:
    network = Checking(FIVE)
    inference_id = network.answer("alice")
    network.switch()
    network.advance(260)
    network.report("bob", SEGMENT, {inference_id: FAILED})
    assert network.dispute(inference_id).deadline_height == 260
    network.advance(261)
    assert outcome(network, inference_id) == "DISPUTE_LAPSED"


def test_a_dispute_without_an_electorate_lapses_at_once() -> None:
    network, inference_id = disputed({"alice": 100, "bob": 60})
    assert network.dispute(inference_id).electorate_weight == 0
    network.advance(106)
    assert outcome(network, inference_id) == "DISPUTE_LAPSED"


def test_w25_a_dispute_is_not_opened_again() -> None:
    network, inference_id = disputed()
    network.report("dave", SEGMENT, {inference_id: FAILED})
    assert network.duties("dave").done == 1
    assert network.dispute(inference_id).accuser == BOB
    network.vote("erin", inference_id, invalid=False)
    network.report("carol", SEGMENT, {inference_id: FAILED})
    assert outcome(network, inference_id) == "DISPUTE_VALID"
    assert network.earned() == {"alice": COST}
    assert network.record(inference_id).status == InferenceStatus.VALIDATED
    network.check()


def test_a_pass_while_members_vote_is_paid_and_decides_nothing() -> None:
    network, inference_id = disputed()
    network.report("carol", SEGMENT, {inference_id: PASSED})
    assert network.record(inference_id).status == InferenceStatus.VOTING
    assert network.earned() == {"alice": COST // 3, "bob": COST // 3, "carol": COST // 3}
    network.vote("erin", inference_id, invalid=False)
    assert network.earned() == {"alice": COST // 2, "carol": COST // 2}
    network.check()


def test_a_report_on_an_invalid_answer_is_a_duty_done_and_no_more() -> None:
    network, inference_id = disputed()
    for name in ("erin", "carol"):
        network.vote(name, inference_id, invalid=True)
    network.report("dave", SEGMENT, {inference_id: PASSED})
    assert network.duties("dave").done == 1
    assert network.record(inference_id).status == InferenceStatus.INVALIDATED
    assert network.earned() == {}


def test_a_validated_answer_may_still_be_accused() -> None:
    network = Checking(FIVE)
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.report("carol", SEGMENT, {inference_id: PASSED})
    network.report("bob", SEGMENT, {inference_id: FAILED})
    network.vote("erin", inference_id, invalid=True)
    network.vote("dave", inference_id, invalid=True)
    assert outcome(network, inference_id) == "DISPUTE_INVALID"
    assert network.earned() == {}
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS
    network.check()


# Refunds


def test_what_the_gateway_account_paid_goes_back_to_it() -> None:
    network = Checking(FIVE)
    poor = key("poor")
    move(network.state, DEVELOPER.address, poor.address, 100)
    start_balance = balance(network.state, gateway("alice").address)
    inference_id = network.answer("alice", developer=poor)
    assert balance(network.state, poor.address) == 0
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: FAILED})
    network.vote("erin", inference_id, invalid=True)
    network.vote("carol", inference_id, invalid=True)
    assert balance(network.state, poor.address) == 100
    assert balance(network.state, gateway("alice").address) == start_balance == GATEWAY_COINS
    network.check()


def test_what_was_paid_out_already_is_not_refunded() -> None:
    network = Checking(FIVE, params=checking_params(missing_duties_allowed=Decimal(value=1)))
    inference_id = network.answer("alice")
    network.switch()
    network.claim("alice")
    network.report("bob", SEGMENT, {inference_id: FAILED})
    network.vote("erin", inference_id, invalid=True)
    network.vote("carol", inference_id, invalid=True)
    record = network.record(inference_id)
    assert (record.status, record.actual_cost) == (InferenceStatus.INVALIDATED, COST)
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS - COST
    network.check()


# Votes


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_d14_nobody_judges_its_own_case(name: str) -> None:
    network, inference_id = disputed()
    assert network.vote(name, inference_id, invalid=name == "bob").code == NetworkCode.NOT_A_MEMBER
    assert outcome(network, inference_id) == "DISPUTE_OPEN"


def test_who_has_no_vote_is_told_so() -> None:
    network, inference_id = disputed()
    network.set_status("carol", ParticipantStatus.INVALID)
    assert network.vote("carol", inference_id, invalid=True).code == NetworkCode.NOT_A_MEMBER
    assert network.vote("mallory", inference_id, invalid=True).code == NetworkCode.NOT_A_MEMBER
    assert "has no vote" in network.events("vote_refused")[0]["log"]


def test_a_second_vote_is_refused() -> None:
    network, inference_id = disputed()
    network.vote("dave", inference_id, invalid=True)
    assert network.vote("dave", inference_id, invalid=True).code == NetworkCode.ALREADY_DONE
    found = network.dispute(inference_id)
    assert found.invalid_weight == 20
    assert vote_of(network.state, found, key("dave").address) is True
    assert list(votes(network.state, found)) == [(key("dave").address, True)]


def test_a_vote_on_nothing_is_refused_alone() -> None:
    network, inference_id = disputed()
    message = MsgVoteDisputes(
        creator=CAROL,
        votes=[DisputeVote(inference_id="unknown", invalid=True), DisputeVote(inference_id=inference_id)],
    )
    assert [each.code for each in network.deliver(message).votes] == [NetworkCode.DISPUTE_NOT_FOUND, 0]
    quiet = network.answer("bob")
    assert network.vote("carol", quiet, invalid=True).code == NetworkCode.DISPUTE_NOT_FOUND


def test_votes_are_checked_before_they_are_run() -> None:
    network, _ = disputed()
    assert network.refused(MsgVoteDisputes(creator="x")).code == SdkCode.INVALID_ADDRESS
    assert network.refused(MsgVoteDisputes(creator=CAROL)).code == NetworkCode.BATCH_TOO_LARGE
    many = [DisputeVote(inference_id=str(number)) for number in range(MAX_VOTES + 1)]
    assert network.refused(MsgVoteDisputes(creator=CAROL, votes=many)).code == NetworkCode.BATCH_TOO_LARGE


# The end of a block


def test_a_block_lets_a_bounded_number_lapse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "CLOSED_PER_BLOCK", 2)
    network = Checking(FIVE)
    ids = [network.answer("alice") for _ in range(3)]
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, dict.fromkeys(ids, FAILED))
    network.advance(125)
    network.advance(126)
    (waiting,) = due(network.state, 125)
    assert network.vote("erin", waiting.inference_id, invalid=True).code == NetworkCode.ALREADY_DONE
    prune(network.block)
    network.advance(127)
    assert {outcome(network, each) for each in ids} == {"DISPUTE_LAPSED"}
    network.check()


def test_w24_disputes_and_votes_go_with_their_epoch_but_no_open_one() -> None:
    network, inference_id = disputed()
    network.vote("dave", inference_id, invalid=True)
    found = network.dispute(inference_id)
    for _ in range(4):
        network.switch()
    stuck = network.dispute(inference_id)
    stuck.outcome = DisputeOutcome.DISPUTE_OPEN
    put_dispute(network.state, stuck)
    record = network.record(inference_id)
    record.status = InferenceStatus.VOTING
    put(network.state, record)
    prune(network.block)
    prune_inferences(network.block)
    assert len(list(disputes(network.state))) == 1
    assert inference(network.state, inference_id) is not None
    voting.close_due(network.block)
    prune(network.block)
    for prefix in (DISPUTES, VOTES):
        assert not list(network.state.iterate(STORE, prefix, prefix_end(prefix)))
    with pytest.raises(NetworkError):
        require_dispute(network.state, found.inference_id)


def test_a_dispute_without_its_answer_is_a_bug() -> None:
    network, inference_id = disputed()
    found = network.dispute(inference_id)
    found.outcome = DisputeOutcome.DISPUTE_LAPSED
    network.state.delete("inference", RECORDS + inference_id.encode() + b"/")
    found.valid_weight = found.electorate_weight
    with pytest.raises(LookupError):
        voting.decide(network.block, found)


# Queries and invariants


def test_disputes_are_told_one_by_one_and_in_pages() -> None:
    network = Checking(FIVE)
    ids = [network.answer("alice") for _ in range(3)]
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, dict.fromkeys(ids, FAILED))
    network.vote("erin", ids[0], invalid=False)
    one = _ANSWERS["Dispute"](network.view, query_pb2.QueryDisputeRequest(inference_id=ids[0]))
    assert one.dispute.outcome == DisputeOutcome.DISPUTE_VALID
    everything = _ANSWERS["Disputes"](network.view, query_pb2.QueryDisputesRequest())
    assert [each.inference_id for each in everything.disputes] == sorted(ids)
    still = _ANSWERS["Disputes"](network.view, query_pb2.QueryDisputesRequest(open_only=True))
    assert {each.inference_id for each in still.disputes} == set(ids[1:])
    with pytest.raises(NetworkError, match="no dispute"):
        _ANSWERS["Dispute"](network.view, query_pb2.QueryDisputeRequest(inference_id="x"))


def test_the_invariant_names_what_contradicts() -> None:
    network, inference_id = disputed()
    check_disputes(network.state)
    found = network.dispute(inference_id)
    put_vote(network.state, found, BOB, invalid=True)
    with pytest.raises(AssertionError, match="a party has voted"):
        check_disputes(network.state)
    found.invalid_weight = 121
    put_dispute(network.state, found)
    with pytest.raises(AssertionError, match="more weight"):
        check_disputes(network.state)
    network, inference_id = disputed()
    record = network.record(inference_id)
    record.status = InferenceStatus.FINISHED
    put(network.state, record)
    with pytest.raises(AssertionError, match="contradicts its dispute"):
        check_disputes(network.state)


def test_without_a_group_there_is_no_electorate() -> None:
    network, inference_id = disputed()
    record = network.record(inference_id)
    record.model = "org/other"
    assert voting.electorate(network.state, record, BOB) == 0
