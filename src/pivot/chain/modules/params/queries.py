"""The engine's parameters (`cosmos.consensus.v1.Query`), which clients ask for the limits of a block, and what is set for good."""

from cosmos.consensus.v1 import query_pb2

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.params.state import consensus_params, genesis_only_params
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2 as network_pb2

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
NETWORK_SERVICE = network_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=consensus_params(view.state))


def _genesis_only(
    view: View, _: network_pb2.QueryGenesisOnlyParamsRequest
) -> network_pb2.QueryGenesisOnlyParamsResponse:
    return network_pb2.QueryGenesisOnlyParamsResponse(params=genesis_only_params(view.state))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(NETWORK_SERVICE, "GenesisOnlyParams", _genesis_only),
]
