"""Wallets that still speak the version before: their votes count, and they can read what is voted on."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.gov.v1.query_pb2 import QueryVoteRequest
from cosmos.gov.v1beta1 import gov_pb2 as gov
from cosmos.gov.v1beta1 import query_pb2 as q
from cosmos.gov.v1beta1 import tx_pb2 as tx
from google.protobuf.any_pb2 import Any

from pivot.chain.errors import GovCode
from pivot.protocol.messages import pack
from tests.chain.chain import key
from tests.chain.modules.governance import DEPOSIT, NO, SERVICE, YES, Parliament, address, coins
from tests.chain.modules.test_gov_messages import refusal

OLD = "cosmos.gov.v1beta1.Query"
HALF = str(10**18 // 2)


def submission(content: Any) -> tx.MsgSubmitProposal:
    return tx.MsgSubmitProposal(content=content, initial_deposit=coins(DEPOSIT), proposer=address("alice"))


@pytest.fixture(scope="module")
def chain() -> Parliament:
    """Proposed, backed and voted on in the version before."""
    made = Parliament()
    text = gov.TextProposal(title="A title", description="What it is for")
    divided = [gov.WeightedVoteOption(option=YES, weight=HALF), gov.WeightedVoteOption(option=NO, weight=HALF)]
    for name, message in (
        ("alice", submission(pack(text))),
        ("dave", tx.MsgDeposit(proposal_id=1, depositor=address("dave"), amount=coins(DEPOSIT))),
        ("alice", tx.MsgVote(proposal_id=1, voter=address("alice"), option=YES)),
        ("bob", tx.MsgVoteWeighted(proposal_id=1, voter=address("bob"), options=divided)),
    ):
        result = made.deliver(key(name), message)
        assert result.code == 0, result.log
    return made


def test_a_vote_counts_as_one_of_today(chain: Parliament) -> None:
    tally = chain.query(f"{OLD}/TallyResult", q.QueryTallyResultRequest(proposal_id=1)).tally
    assert (tally.yes, tally.abstain, tally.no, tally.no_with_veto) == ("40", "0", "10", "0")
    today = chain.query(f"{SERVICE}/Vote", QueryVoteRequest(proposal_id=1, voter=address("bob"))).vote
    assert [each.weight for each in today.options] == ["0.500000000000000000"] * 2


def test_proposals_are_shown_as_texts(chain: Parliament) -> None:
    listed = chain.query(f"{OLD}/Proposals", q.QueryProposalsRequest(depositor=address("dave"))).proposals
    one = chain.query(f"{OLD}/Proposal", q.QueryProposalRequest(proposal_id=1)).proposal
    assert list(listed) == [one]
    assert gov.TextProposal.FromString(one.content.value).description == "What it is for"
    assert (one.status, one.total_deposit[0].amount) == (gov.PROPOSAL_STATUS_VOTING_PERIOD, str(2 * DEPOSIT))
    assert one.final_tally_result.yes == "0"
    waiting = chain.propose(deposit=DEPOSIT // 10)
    one = chain.query(f"{OLD}/Proposal", q.QueryProposalRequest(proposal_id=waiting)).proposal
    assert (one.HasField("submit_time"), one.HasField("voting_start_time")) == (True, False)


def test_votes_deposits_and_rules_are_shown(chain: Parliament) -> None:
    votes = chain.query(f"{OLD}/Votes", q.QueryVotesRequest(proposal_id=1)).votes
    assert {each.voter: each.option for each in votes} == {address("alice"): YES, address("bob"): 0}
    one = chain.query(f"{OLD}/Vote", q.QueryVoteRequest(proposal_id=1, voter=address("bob"))).vote
    assert [each.weight for each in one.options] == [HALF, HALF]
    deposits = chain.query(f"{OLD}/Deposits", q.QueryDepositsRequest(proposal_id=1)).deposits
    mine = chain.query(f"{OLD}/Deposit", q.QueryDepositRequest(proposal_id=1, depositor=address("dave"))).deposit
    assert mine in deposits
    rules = chain.query(f"{OLD}/Params", q.QueryParamsRequest(params_type="tallying"))
    assert rules.tally_params.quorum == b"334000000000000000"
    assert rules.deposit_params.min_deposit[0].amount == str(DEPOSIT)


def test_only_texts_are_proposed_in_the_version_before() -> None:
    assert refusal(submission(Any(type_url="/cosmos.params.v1beta1.X"))).code == GovCode.UNROUTABLE_MESSAGE


@pytest.mark.parametrize("weight", ["", "1.0", "-1", "9" * 20, "٣"])
def test_a_weight_that_is_no_number_is_refused(weight: str) -> None:
    options = [gov.WeightedVoteOption(option=YES, weight=weight)]
    voted = tx.MsgVoteWeighted(proposal_id=1, voter=address("alice"), options=options)
    assert refusal(voted).code == GovCode.INVALID_VOTE
