"""How a host stands."""

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.reputation.state import reputation
from pivot.chain.modules.status.state import standing
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryHostStandingRequest,
    QueryHostStandingResponse,
)


def _standing(view: View, request: QueryHostStandingRequest) -> QueryHostStandingResponse:
    check_address("participant", request.participant)
    return QueryHostStandingResponse(
        standing=standing(view.state, request.participant), reputation=reputation(view.state, request.participant)
    )


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [query(_SERVICE, "HostStanding", _standing)]
