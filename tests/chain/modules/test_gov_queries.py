"""What clients are told of proposals, deposits and votes."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1 import query_pb2 as q
from google.protobuf.message import Message
from tendermint.abci.types_pb2 import RequestQuery

from pivot.chain.errors import SdkCode
from pivot.protocol.governance import gov_params
from tests.chain.modules.governance import DEPOSIT, SERVICE, VOTING_SECONDS, YES, Parliament, address


@pytest.fixture(scope="module")
def chain() -> Parliament:
    """Proposal 1 has passed, 2 waits for deposits, 3 is voted on."""
    made = Parliament()
    made.vote(made.propose(), YES, "alice", "bob")
    made.later(VOTING_SECONDS)
    made.propose(by="bob", deposit=DEPOSIT // 10)
    made.vote(made.propose(by="carol"), YES, "carol", "alice")
    made.put_down(3, "dave", DEPOSIT)
    return made


def ids(chain: Parliament, **fields: object) -> list[int]:
    return [each.id for each in chain.query(f"{SERVICE}/Proposals", q.QueryProposalsRequest(**fields)).proposals]


def test_proposals_are_listed_by_status_voter_and_depositor(chain: Parliament) -> None:
    assert ids(chain) == [1, 2, 3]
    assert ids(chain, proposal_status=gov.PROPOSAL_STATUS_PASSED) == [1]
    assert ids(chain, voter=address("alice")) == [3]
    assert ids(chain, depositor=address("bob")) == [2]
    assert ids(chain, voter=address("alice"), depositor=address("bob")) == []
    assert ids(chain, pagination=PageRequest(limit=2)) == [1, 2]
    assert ids(chain, pagination=PageRequest(limit=1, reverse=True)) == [3]


def test_votes_and_deposits_are_listed_in_pages(chain: Parliament) -> None:
    page = PageRequest(limit=1)
    votes = chain.query(f"{SERVICE}/Votes", q.QueryVotesRequest(proposal_id=3, pagination=page))
    assert (len(votes.votes), bool(votes.pagination.next_key)) == (1, True)
    listed = chain.query(f"{SERVICE}/Deposits", q.QueryDepositsRequest(proposal_id=3)).deposits
    assert {each.depositor: each.amount[0].amount for each in listed} == {
        address("carol"): str(DEPOSIT),
        address("dave"): str(DEPOSIT),
    }
    one = chain.query(f"{SERVICE}/Deposit", q.QueryDepositRequest(proposal_id=3, depositor=address("dave"))).deposit
    assert one in listed
    vote = chain.query(f"{SERVICE}/Vote", q.QueryVoteRequest(proposal_id=3, voter=address("carol"))).vote
    assert vote.options[0].weight == "1.000000000000000000"


@pytest.mark.parametrize(("proposal_id", "yes"), [(1, "50"), (2, "0"), (3, "40")])
def test_a_tally_is_told_at_any_time(chain: Parliament, proposal_id: int, yes: str) -> None:
    tally = chain.query(f"{SERVICE}/TallyResult", q.QueryTallyResultRequest(proposal_id=proposal_id)).tally
    assert (tally.yes_count, tally.no_with_veto_count) == (yes, "0")


@pytest.mark.parametrize("proposal_id", [2, 3])
def test_until_its_vote_is_over_a_proposal_shows_a_result_of_nothing(chain: Parliament, proposal_id: int) -> None:
    """Explorers read its counts without asking whether there are any."""
    found = chain.query(f"{SERVICE}/Proposal", q.QueryProposalRequest(proposal_id=proposal_id)).proposal
    assert found.final_tally_result == gov.TallyResult(
        yes_count="0", abstain_count="0", no_count="0", no_with_veto_count="0"
    )


def test_the_rules_are_told_in_both_shapes(chain: Parliament) -> None:
    told = chain.query(f"{SERVICE}/Params", q.QueryParamsRequest(params_type="voting"))
    assert told.params == gov_params("mainnet")
    assert told.voting_params.voting_period.seconds == VOTING_SECONDS
    assert told.deposit_params.min_deposit[0].amount == str(DEPOSIT)
    assert told.tally_params.quorum == "0.334000000000000000"


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("Proposal", q.QueryProposalRequest(proposal_id=9), SdkCode.NOT_FOUND),
        ("TallyResult", q.QueryTallyResultRequest(proposal_id=2**64 - 1), SdkCode.NOT_FOUND),
        ("Vote", q.QueryVoteRequest(proposal_id=3, voter=address("bob")), SdkCode.NOT_FOUND),
        ("Deposit", q.QueryDepositRequest(proposal_id=1, depositor=address("bob")), SdkCode.NOT_FOUND),
        ("Vote", q.QueryVoteRequest(proposal_id=3, voter="nobody"), SdkCode.INVALID_ADDRESS),
        ("Proposals", q.QueryProposalsRequest(depositor="nobody"), SdkCode.INVALID_ADDRESS),
    ],
)
def test_what_is_not_there_is_refused(chain: Parliament, method: str, request_: Message, code: int) -> None:
    answer = chain.application.query(RequestQuery(path=f"/{SERVICE}/{method}", data=request_.SerializeToString()))
    assert answer.code == code
