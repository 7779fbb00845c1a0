"""`cosmos.gov.v1.Query`."""

from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1 import query_pb2
from cosmos.gov.v1.gov_pb2 import Deposit, DepositParams, Proposal, TallyParams, TallyResult, Vote, VotingParams

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.gov.state import (
    DEPOSITS,
    PROPOSALS,
    STORE,
    VOTES,
    constitution,
    deposit,
    number,
    params,
    proposal,
    vote,
)
from pivot.chain.modules.gov.tally import count
from pivot.chain.pagination import list_page
from pivot.chain.types import Reader, View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _constitution(view: View, _: query_pb2.QueryConstitutionRequest) -> query_pb2.QueryConstitutionResponse:
    return query_pb2.QueryConstitutionResponse(constitution=constitution(view.state))


def find_proposal(state: Reader, proposal_id: int) -> Proposal:
    """The proposal that a query names. Raises SdkError (NOT_FOUND)."""
    found = proposal(state, proposal_id)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"proposal {proposal_id} doesn't exist")
    return found


def current_tally(state: Reader, record: Proposal) -> TallyResult:
    """The final result of a vote that is over; what it would be now while it is going on; nothing before it begins."""
    if record.status == gov.PROPOSAL_STATUS_VOTING_PERIOD:
        return count(state, record.id).published()
    return record.final_tally_result


def _proposal(view: View, request: query_pb2.QueryProposalRequest) -> query_pb2.QueryProposalResponse:
    return query_pb2.QueryProposalResponse(proposal=find_proposal(view.state, request.proposal_id))


def _proposals(view: View, request: query_pb2.QueryProposalsRequest) -> query_pb2.QueryProposalsResponse:
    for field in ("voter", "depositor"):
        if getattr(request, field):
            check_address(field, getattr(request, field))

    def item(_: bytes, row: bytes) -> Proposal | None:
        found = Proposal.FromString(row)
        shown = (
            request.proposal_status in (gov.PROPOSAL_STATUS_UNSPECIFIED, found.status)
            and (not request.voter or vote(view.state, found.id, request.voter) is not None)
            and (not request.depositor or deposit(view.state, found.id, request.depositor) is not None)
        )
        return found if shown else None

    found, page = list_page(view.state, STORE, PROPOSALS, request.pagination, item)
    return query_pb2.QueryProposalsResponse(proposals=found, pagination=page)


def _vote(view: View, request: query_pb2.QueryVoteRequest) -> query_pb2.QueryVoteResponse:
    check_address("voter", request.voter)
    found = vote(view.state, request.proposal_id, request.voter)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"{request.voter} has no vote on proposal {request.proposal_id}")
    return query_pb2.QueryVoteResponse(vote=found)


def _votes(view: View, request: query_pb2.QueryVotesRequest) -> query_pb2.QueryVotesResponse:
    prefix = VOTES + number(request.proposal_id)
    found, page = list_page(view.state, STORE, prefix, request.pagination, lambda _, row: Vote.FromString(row))
    return query_pb2.QueryVotesResponse(votes=found, pagination=page)


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    """All parameters, in the shape of today and in those that older clients read."""
    rules = params(view.state)
    return query_pb2.QueryParamsResponse(
        params=rules,
        voting_params=VotingParams(voting_period=rules.voting_period),
        deposit_params=DepositParams(min_deposit=rules.min_deposit, max_deposit_period=rules.max_deposit_period),
        tally_params=TallyParams(quorum=rules.quorum, threshold=rules.threshold, veto_threshold=rules.veto_threshold),
    )


def _deposit(view: View, request: query_pb2.QueryDepositRequest) -> query_pb2.QueryDepositResponse:
    check_address("depositor", request.depositor)
    found = deposit(view.state, request.proposal_id, request.depositor)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"{request.depositor} has no deposit on proposal {request.proposal_id}")
    return query_pb2.QueryDepositResponse(deposit=found)


def _deposits(view: View, request: query_pb2.QueryDepositsRequest) -> query_pb2.QueryDepositsResponse:
    prefix = DEPOSITS + number(request.proposal_id)
    found, page = list_page(view.state, STORE, prefix, request.pagination, lambda _, row: Deposit.FromString(row))
    return query_pb2.QueryDepositsResponse(deposits=found, pagination=page)


def _tally(view: View, request: query_pb2.QueryTallyResultRequest) -> query_pb2.QueryTallyResultResponse:
    record = find_proposal(view.state, request.proposal_id)
    return query_pb2.QueryTallyResultResponse(tally=current_tally(view.state, record))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Constitution", _constitution),
    query(SERVICE, "Proposal", _proposal),
    query(SERVICE, "Proposals", _proposals),
    query(SERVICE, "Vote", _vote),
    query(SERVICE, "Votes", _votes),
    query(SERVICE, "Params", _params),
    query(SERVICE, "Deposit", _deposit),
    query(SERVICE, "Deposits", _deposits),
    query(SERVICE, "TallyResult", _tally),
]
