"""Disputes as voters and clients read them."""

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.disputes.state import DISPUTES, STORE, require_dispute
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryDisputeRequest,
    QueryDisputeResponse,
    QueryDisputesRequest,
    QueryDisputesResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Dispute, DisputeOutcome


def _dispute(view: View, request: QueryDisputeRequest) -> QueryDisputeResponse:
    return QueryDisputeResponse(dispute=require_dispute(view.state, request.inference_id))


def _disputes(view: View, request: QueryDisputesRequest) -> QueryDisputesResponse:
    """By epoch and id. With `open_only`, a page shows the open ones among its rows."""

    def shown(_: bytes, row: bytes) -> Dispute | None:
        found = Dispute.FromString(row)
        return None if request.open_only and found.outcome != DisputeOutcome.DISPUTE_OPEN else found

    found, page = list_page(view.state, STORE, DISPUTES, request.pagination, shown)
    return QueryDisputesResponse(disputes=found, pagination=page)


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [
    query(_SERVICE, "Dispute", _dispute),
    query(_SERVICE, "Disputes", _disputes),
]
