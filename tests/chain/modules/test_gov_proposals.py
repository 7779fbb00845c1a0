"""A proposal's life, over the whole application: deposits, votes, what follows from them."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.distribution.v1beta1.tx_pb2 import MsgCommunityPoolSpend
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1.tx_pb2 import MsgCancelProposal, MsgUpdateParams, MsgVote
from google.protobuf.duration_pb2 import Duration

from pivot.chain.errors import GovCode
from pivot.chain.modules.bank.state import COMMUNITY_POOL
from pivot.chain.modules.gov import deposits, proposals
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.protocol.governance import gov_params
from tests.chain.chain import events_of, key
from tests.chain.modules.governance import (
    COINS,
    DEPOSIT,
    EXPEDITED_DEPOSIT,
    EXPEDITED_SECONDS,
    NO,
    VETO,
    VOTING_SECONDS,
    YES,
    Parliament,
    address,
    coins,
)


def spend(amount: int, recipient: str = "erin") -> MsgCommunityPoolSpend:
    return MsgCommunityPoolSpend(authority=AUTHORITY, recipient=address(recipient), amount=coins(amount))


def rules(**changes: object) -> MsgUpdateParams:
    params = gov_params("mainnet")
    for name, value in changes.items():
        setattr(params, name, value)
    return MsgUpdateParams(authority=AUTHORITY, params=params)


def test_a_text_is_proposed_voted_on_and_passed_and_its_deposit_goes_back() -> None:
    chain = Parliament()
    result = chain.submit(metadata="ipfs://somewhere")
    assert events_of(result, "submit_proposal")[0]["proposal_messages"] == ""
    assert events_of(result, "submit_proposal")[1]["voting_period_start"] == "1"
    assert chain.held == DEPOSIT
    record = chain.proposal(1)
    assert (record.status, record.title, record.metadata) == (
        gov.PROPOSAL_STATUS_VOTING_PERIOD,
        "A title",
        "ipfs://somewhere",
    )
    assert record.voting_end_time.seconds - record.voting_start_time.seconds == VOTING_SECONDS
    chain.vote(1, YES, "alice", "carol")
    assert chain.proposal(1).status == gov.PROPOSAL_STATUS_VOTING_PERIOD
    record = chain.decide(1)
    assert record.status == gov.PROPOSAL_STATUS_PASSED
    assert record.final_tally_result.yes_count == "40"
    assert (chain.held, chain.balance(address("alice"))) == (0, COINS)
    assert chain.events("active_proposal") == [
        {"proposal_id": "1", "proposal_result": "proposal_passed", "proposal_log": "passed"}
    ]
    chain.block()
    assert chain.propose() == 2


def test_a_proposal_waits_for_its_deposit_and_is_dropped_without_one() -> None:
    chain = Parliament()
    assert chain.submit(deposit=DEPOSIT // 10 - 1).code == GovCode.DEPOSIT_TOO_SMALL
    waiting, backed = chain.propose(deposit=DEPOSIT // 10), chain.propose(deposit=DEPOSIT // 10)
    assert chain.proposal(waiting).status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD
    assert chain.put_down(backed, "dave", DEPOSIT // 100 - 1).code == GovCode.DEPOSIT_TOO_SMALL
    result = chain.put_down(backed, "dave", DEPOSIT)
    assert [event["proposal_id"] for event in events_of(result, "proposal_deposit") if "depositor" in event] == ["2"]
    assert events_of(result, "proposal_deposit")[1]["voting_period_start"] == "2"
    more = chain.put_down(backed, "dave", DEPOSIT)
    assert more.code == 0
    assert events_of(more, "submit_proposal") == []
    assert chain.held == 2 * (DEPOSIT // 10) + 2 * DEPOSIT
    chain.later(VOTING_SECONDS)
    assert chain.events("inactive_proposal") == [{"proposal_id": "1", "proposal_result": "proposal_dropped"}]
    assert chain.balance(address("dave")) == COINS
    assert chain.put_down(waiting, "dave", DEPOSIT).code == GovCode.INACTIVE_PROPOSAL
    assert chain.proposal(backed).status == gov.PROPOSAL_STATUS_REJECTED
    assert chain.put_down(backed, "dave", DEPOSIT).code == GovCode.INACTIVE_PROPOSAL
    assert chain.held == 0


def test_a_dropped_proposal_costs_its_deposit_if_the_rules_say_so() -> None:
    chain = Parliament()
    chain.pass_(rules(burn_proposal_deposit_prevote=True))
    chain.propose(deposit=DEPOSIT // 2)
    pool = chain.balance(COMMUNITY_POOL)
    chain.later(VOTING_SECONDS)
    assert chain.balance(COMMUNITY_POOL) - pool == DEPOSIT // 2


def test_a_veto_costs_the_deposit_which_goes_to_the_community_pool() -> None:
    chain = Parliament()
    pool = chain.balance(COMMUNITY_POOL)
    proposal_id = chain.propose()
    chain.vote(proposal_id, YES, "alice")
    chain.vote(proposal_id, VETO, "bob", "carol")
    record = chain.decide(proposal_id)
    assert record.status == gov.PROPOSAL_STATUS_REJECTED
    assert chain.events("active_proposal")[0]["proposal_log"] == "vetoed"
    assert chain.balance(COMMUNITY_POOL) - pool == DEPOSIT


@pytest.mark.parametrize("burns", [True, False])
def test_a_vote_without_quorum_is_rejected_and_costs_its_deposit_only_if_the_rules_say_so(burns: bool) -> None:
    chain = Parliament()
    chain.pass_(rules(burn_vote_quorum=burns))
    pool = chain.balance(COMMUNITY_POOL)
    proposal_id = chain.propose()
    chain.vote(proposal_id, YES, "carol")
    assert chain.decide(proposal_id).status == gov.PROPOSAL_STATUS_REJECTED
    assert chain.balance(COMMUNITY_POOL) - pool == (DEPOSIT if burns else 0)


def test_a_passed_proposal_spends_from_the_community_pool() -> None:
    chain = Parliament()
    lost = chain.propose()
    chain.vote(lost, VETO, "alice", "bob")
    chain.decide(lost)
    assert chain.balance(COMMUNITY_POOL) == DEPOSIT
    assert chain.pass_(spend(DEPOSIT // 2)).status == gov.PROPOSAL_STATUS_PASSED
    assert chain.balance(address("erin")) == COINS + DEPOSIT // 2
    assert chain.balance(COMMUNITY_POOL) == DEPOSIT - DEPOSIT // 2


def test_all_messages_of_a_proposal_run_or_none_and_a_refusal_halts_nothing() -> None:
    chain = Parliament()
    record = chain.pass_(rules(burn_vote_quorum=True), spend(COINS))
    assert record.status == gov.PROPOSAL_STATUS_FAILED
    assert record.failed_reason.startswith("message 1 is refused: spendable balance")
    assert chain.events("active_proposal")[0]["proposal_result"] == "proposal_failed"
    assert chain.events("transfer") == [
        {"recipient": address("alice"), "sender": AUTHORITY, "amount": f"{DEPOSIT}ngonka"}
    ]
    lost = chain.propose()
    chain.decide(lost)
    assert (chain.held, chain.balance(address("alice"))) == (0, COINS)


def test_an_expedited_proposal_needs_two_thirds_and_half_a_day() -> None:
    chain = Parliament()
    assert chain.proposal(chain.propose(expedited=True)).status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD
    proposal_id = chain.propose(expedited=True, deposit=EXPEDITED_DEPOSIT)
    chain.vote(proposal_id, YES, "alice", "bob")
    chain.later(EXPEDITED_SECONDS)
    assert chain.proposal(proposal_id).status == gov.PROPOSAL_STATUS_PASSED


def test_an_expedited_proposal_that_does_not_pass_goes_on_as_a_normal_one_with_its_votes() -> None:
    chain = Parliament()
    proposal_id = chain.propose(expedited=True, deposit=EXPEDITED_DEPOSIT)
    chain.vote(proposal_id, YES, "alice")
    chain.vote(proposal_id, NO, "bob")
    chain.later(EXPEDITED_SECONDS)
    record = chain.proposal(proposal_id)
    assert (record.status, record.expedited) == (gov.PROPOSAL_STATUS_VOTING_PERIOD, False)
    assert record.voting_end_time.seconds - record.voting_start_time.seconds == VOTING_SECONDS
    assert chain.events("active_proposal")[0]["proposal_result"] == "expedited_proposal_rejected"
    assert chain.held == EXPEDITED_DEPOSIT
    chain.later(VOTING_SECONDS - EXPEDITED_SECONDS)
    record = chain.proposal(proposal_id)
    assert record.status == gov.PROPOSAL_STATUS_PASSED
    assert (record.final_tally_result.yes_count, record.final_tally_result.no_count) == ("30", "20")


@pytest.mark.parametrize("deposit", [DEPOSIT, DEPOSIT // 2])
def test_a_proposer_takes_its_proposal_back_for_half_of_the_deposits(deposit: int) -> None:
    chain = Parliament()
    proposal_id = chain.propose(deposit=deposit)
    pool = chain.balance(COMMUNITY_POOL)
    by_another = chain.deliver(key("bob"), MsgCancelProposal(proposal_id=proposal_id, proposer=address("bob")))
    assert by_another.code == GovCode.INVALID_PROPOSER
    taken = MsgCancelProposal(proposal_id=proposal_id, proposer=address("alice"))
    result = chain.deliver(key("alice"), taken)
    assert events_of(result, "cancel_proposal") == [
        {"sender": address("alice"), "proposal_id": str(proposal_id), "msg_index": "0"}
    ]
    assert chain.balance(COMMUNITY_POOL) - pool == deposit // 2
    assert chain.balance(address("alice")) == COINS - deposit // 2
    assert chain.deliver(key("alice"), taken).code == GovCode.INACTIVE_PROPOSAL
    chain.later(VOTING_SECONDS)
    assert chain.events("active_proposal") == chain.events("inactive_proposal") == []


def test_what_is_kept_of_a_cancelled_proposal_goes_where_the_rules_say() -> None:
    chain = Parliament()
    chain.pass_(rules(proposal_cancel_dest=address("erin")))
    proposal_id = chain.propose()
    chain.deliver(key("alice"), MsgCancelProposal(proposal_id=proposal_id, proposer=address("alice")))
    assert chain.balance(address("erin")) == COINS + DEPOSIT // 2


def test_new_rules_do_not_move_the_end_of_a_vote_that_goes_on() -> None:
    chain = Parliament()
    shorter = rules()
    shorter.params.voting_period.CopyFrom(Duration(seconds=100_000))
    changing, going_on = chain.propose(shorter), chain.propose()
    ends = chain.proposal(going_on).voting_end_time
    chain.vote(changing, YES, "alice", "bob")
    chain.decide(changing)
    assert chain.proposal(going_on).voting_end_time == ends
    record = chain.proposal(chain.propose())
    assert record.voting_end_time.seconds - record.voting_start_time.seconds == 100_000


def test_w25_a_vote_at_the_end_of_the_period_or_after_it_is_refused() -> None:
    chain = Parliament()
    proposal_id = chain.propose()
    ends = chain.proposal(proposal_id).voting_end_time.seconds
    chain.later(ends - chain.time // 10**9)
    late = MsgVote(proposal_id=proposal_id, voter=address("alice"), option=YES)
    assert chain.time // 10**9 >= ends
    assert chain.deliver(key("alice"), late).code == GovCode.INACTIVE_PROPOSAL
    proposal_id = chain.propose()
    late.proposal_id = proposal_id
    raw = chain.sign(key("alice"), late)
    chain.time += VOTING_SECONDS * 10**9
    assert chain.block(raw)[0].code == GovCode.VOTING_PERIOD_ENDED
    assert chain.proposal(proposal_id).status == gov.PROPOSAL_STATUS_REJECTED


def test_many_proposals_that_end_together_are_spread_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "DECIDED_PER_BLOCK", 2)
    monkeypatch.setattr(proposals, "DROPPED_PER_BLOCK", 1)
    chain = Parliament()
    voted_on = [chain.propose() for _ in range(3)]
    for _ in range(2):
        chain.propose(deposit=DEPOSIT // 10)
    chain.later(VOTING_SECONDS)
    assert len(chain.events("active_proposal")) == 2
    assert len(chain.events("inactive_proposal")) == 1
    late = MsgVote(proposal_id=voted_on[-1], voter=address("alice"), option=YES)
    assert chain.deliver(key("alice"), late).code == GovCode.VOTING_PERIOD_ENDED
    assert len(chain.events("active_proposal")) == 1
    assert len(chain.events("inactive_proposal")) == 1


def test_a_crowd_of_depositors_and_voters_is_cleared_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deposits, "CLEARED_PER_BLOCK", 2)
    chain = Parliament()
    first = chain.propose()
    chain.put_down(first, "dave", DEPOSIT)
    chain.put_down(first, "erin", DEPOSIT)
    chain.vote(first, YES, "alice", "bob", "carol")
    second = chain.propose()
    assert chain.held == 4 * DEPOSIT
    held = []
    chain.later(VOTING_SECONDS)
    for _ in range(5):
        held.append(chain.held // DEPOSIT)
        chain.block()
    assert held == [2, 1, 1, 0, 0]
    assert chain.balance(address("alice")) == COINS
    assert chain.proposal(second).status == gov.PROPOSAL_STATUS_REJECTED


def test_nobody_can_give_coins_to_the_account_of_the_deposits() -> None:
    chain = Parliament()
    gift = MsgSend(from_address=address("dave"), to_address=AUTHORITY, amount=coins(5))
    assert chain.deliver(key("dave"), gift).code != 0
