"""`cosmos.gov.v1beta1.Query`, which many wallets still read: proposals as texts, decimals without their point."""

from collections.abc import Callable
from typing import Any

from cosmos.gov.v1 import gov_pb2 as v1
from cosmos.gov.v1beta1 import gov_pb2 as v1beta1
from cosmos.gov.v1beta1 import query_pb2
from google.protobuf.message import Message

from pivot.chain.handlers import QueryHandler, QueryTable, query
from pivot.chain.modules.gov.queries import QUERIES as V1_QUERIES
from pivot.chain.types import View
from pivot.protocol.decimals import parse
from pivot.protocol.messages import pack

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
V1_PATH = "/cosmos.gov.v1.Query"
_V1 = QueryTable(V1_QUERIES)


def _asked(method: str, view: View, request: Message) -> Any:
    """The answer of `v1`, whose requests have the same fields."""
    handler = _V1.all()[f"{V1_PATH}/{method}"]
    return handler.answer(view, handler.request.FromString(request.SerializeToString()))


def _proposal(view: View, request: query_pb2.QueryProposalRequest) -> query_pb2.QueryProposalResponse:
    return query_pb2.QueryProposalResponse(proposal=_as_text(_asked("Proposal", view, request).proposal))


def _proposals(view: View, request: query_pb2.QueryProposalsRequest) -> query_pb2.QueryProposalsResponse:
    found = _asked("Proposals", view, request)
    return query_pb2.QueryProposalsResponse(
        proposals=[_as_text(each) for each in found.proposals], pagination=found.pagination
    )


def _vote(view: View, request: query_pb2.QueryVoteRequest) -> query_pb2.QueryVoteResponse:
    return query_pb2.QueryVoteResponse(vote=_old_vote(_asked("Vote", view, request).vote))


def _votes(view: View, request: query_pb2.QueryVotesRequest) -> query_pb2.QueryVotesResponse:
    found = _asked("Votes", view, request)
    return query_pb2.QueryVotesResponse(votes=[_old_vote(each) for each in found.votes], pagination=found.pagination)


def _params(view: View, request: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    rules = _asked("Params", view, request).params
    return query_pb2.QueryParamsResponse(
        voting_params=v1beta1.VotingParams(voting_period=rules.voting_period),
        deposit_params=v1beta1.DepositParams(
            min_deposit=rules.min_deposit, max_deposit_period=rules.max_deposit_period
        ),
        tally_params=v1beta1.TallyParams(
            quorum=_pointless(rules.quorum).encode(),
            threshold=_pointless(rules.threshold).encode(),
            veto_threshold=_pointless(rules.veto_threshold).encode(),
        ),
    )


def _tally(view: View, request: query_pb2.QueryTallyResultRequest) -> query_pb2.QueryTallyResultResponse:
    return query_pb2.QueryTallyResultResponse(tally=_old_tally(_asked("TallyResult", view, request).tally))


def _same(method: str, response: type[Message]) -> Callable[[View, Message], Message]:
    """An answer whose fields are those of `v1`."""

    def answer(view: View, request: Message) -> Message:
        return response.FromString(_asked(method, view, request).SerializeToString())

    return answer


def _as_text(record: v1.Proposal) -> v1beta1.Proposal:
    text = v1beta1.TextProposal(title=record.title, description=record.summary)
    old = v1beta1.Proposal(
        proposal_id=record.id,
        content=pack(text),
        status=v1.ProposalStatus.Name(record.status),
        final_tally_result=_old_tally(record.final_tally_result),
        total_deposit=record.total_deposit,
    )
    for name in ("submit_time", "deposit_end_time", "voting_start_time", "voting_end_time"):
        if record.HasField(name):
            getattr(old, name).CopyFrom(getattr(record, name))
    return old


def _old_tally(tally: v1.TallyResult) -> v1beta1.TallyResult:
    return v1beta1.TallyResult(
        yes=tally.yes_count or "0",
        abstain=tally.abstain_count or "0",
        no=tally.no_count or "0",
        no_with_veto=tally.no_with_veto_count or "0",
    )


def _old_vote(vote: v1.Vote) -> v1beta1.Vote:
    """The vote, whose fields have the same numbers; `option` is that of an undivided one, unspecified for a divided one."""
    old = v1beta1.Vote.FromString(vote.SerializeToString())
    old.DiscardUnknownFields()
    for each in old.options:
        each.weight = _pointless(each.weight)
    if len(old.options) == 1:
        old.option = old.options[0].option
    return old


def _pointless(decimal: str) -> str:
    return str(parse(decimal))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Proposal", _proposal),
    query(SERVICE, "Proposals", _proposals),
    query(SERVICE, "Vote", _vote),
    query(SERVICE, "Votes", _votes),
    query(SERVICE, "Params", _params),
    query(SERVICE, "Deposit", _same("Deposit", query_pb2.QueryDepositResponse)),
    query(SERVICE, "Deposits", _same("Deposits", query_pb2.QueryDepositsResponse)),
    query(SERVICE, "TallyResult", _tally),
]
