"""Who has committed what, who checks whom, who has voted what."""

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.epochs.state import epoch
from pivot.chain.modules.poc.state import commits, votes
from pivot.chain.modules.poc.tally import checkers
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _commits(view: View, request: query_pb2.QueryPocCommitsRequest) -> query_pb2.QueryPocCommitsResponse:
    """All commits of a sprint in which there is work to check, each with its checkers."""
    record = epoch(view.state, request.epoch_index)
    if record is None or record.index == 0:
        raise NetworkError(NetworkCode.EPOCH_NOT_FOUND, f"there is no sprint of epoch {request.epoch_index}")
    return query_pb2.QueryPocCommitsResponse(
        duties=[
            query_pb2.PocDuty(commit=found, checkers=checkers(view.state, record, found.participant))
            for found in commits(view.state, record.index)
            if found.nodes
        ]
    )


def _votes(view: View, request: query_pb2.QueryPocVotesRequest) -> query_pb2.QueryPocVotesResponse:
    found = votes(view.state, request.epoch_index, request.checker)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"{request.checker[:90]!r} has sent no votes for epoch {request.epoch_index}")
    return query_pb2.QueryPocVotesResponse(votes=found)


QUERIES: list[QueryHandler] = [query(SERVICE, "PocCommits", _commits), query(SERVICE, "PocVotes", _votes)]
