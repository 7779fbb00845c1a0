"""`cosmos.consensus.v1.Query`: the engine's parameters, which clients ask for the limits of a block."""

from cosmos.consensus.v1 import query_pb2

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.params.state import consensus_params
from pivot.chain.types import View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=consensus_params(view.state))


QUERIES: list[QueryHandler] = [query(SERVICE, "Params", _params)]
