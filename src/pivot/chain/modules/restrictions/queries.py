"""`inference.restrictions.Query`: until when transfers are restricted, who is exempt, and who has used it."""

from cosmos.base.query.v1beta1.pagination_pb2 import PageResponse

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.restrictions.state import (
    STORE,
    USAGES,
    is_restricted,
    restriction_params,
    usage_of,
)
from pivot.chain.pagination import DEFAULT_LIMIT, list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.restrictions import query_pb2
from pivot.protocol.generated.inference.restrictions.types_pb2 import ExemptionUsage

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=restriction_params(view.state))


def _status(
    view: View, _: query_pb2.QueryTransferRestrictionStatusRequest
) -> query_pb2.QueryTransferRestrictionStatusResponse:
    end = restriction_params(view.state).restriction_end_block
    return query_pb2.QueryTransferRestrictionStatusResponse(
        is_active=is_restricted(view.state, view.height),
        restriction_end_block=end,
        current_block_height=view.height,
        remaining_blocks=max(end - view.height, 0),
    )


def _exemptions(
    view: View, request: query_pb2.QueryTransferExemptionsRequest
) -> query_pb2.QueryTransferExemptionsResponse:
    """In their own order. They are few, so a page is told by its offset alone."""
    found = restriction_params(view.state).emergency_transfer_exemptions
    first = request.pagination.offset
    last = first + (request.pagination.limit or DEFAULT_LIMIT)
    return query_pb2.QueryTransferExemptionsResponse(
        exemptions=found[first:last], pagination=PageResponse(total=len(found))
    )


def _usage(view: View, request: query_pb2.QueryExemptionUsageRequest) -> query_pb2.QueryExemptionUsageResponse:
    """Of one exemption or of all, of one account or of all."""
    of_one = f"{request.exemption_id}/".encode() if request.exemption_id else b""

    def entry(key: bytes, row: bytes) -> ExemptionUsage | None:
        usage = usage_of(of_one + key, row)
        return usage if request.account_address in {"", usage.account_address} else None

    entries, page = list_page(view.state, STORE, USAGES + of_one, request.pagination, entry)
    return query_pb2.QueryExemptionUsageResponse(usage_entries=entries, pagination=page)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(SERVICE, "TransferRestrictionStatus", _status),
    query(SERVICE, "TransferExemptions", _exemptions),
    query(SERVICE, "ExemptionUsage", _usage),
]
