"""`cosmos.feegrant.v1beta1.Query`."""

from cosmos.feegrant.v1beta1 import query_pb2
from cosmos.feegrant.v1beta1.feegrant_pb2 import Grant

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.feegrant.state import STORE, grant, grantee_prefix, granter_prefix, parts
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.primitives.addresses import from_bytes

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _allowance(view: View, request: query_pb2.QueryAllowanceRequest) -> query_pb2.QueryAllowanceResponse:
    check_address("granter", request.granter)
    check_address("grantee", request.grantee)
    found = grant(view.state, request.granter, request.grantee)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, "fee-grant not found")
    return query_pb2.QueryAllowanceResponse(allowance=found)


def _allowances(view: View, request: query_pb2.QueryAllowancesRequest) -> query_pb2.QueryAllowancesResponse:
    check_address("grantee", request.grantee)

    def item(_: bytes, row: bytes) -> Grant:
        return Grant.FromString(row)

    found, page = list_page(view.state, STORE, grantee_prefix(request.grantee), request.pagination, item)
    return query_pb2.QueryAllowancesResponse(allowances=found, pagination=page)


def _by_granter(
    view: View, request: query_pb2.QueryAllowancesByGranterRequest
) -> query_pb2.QueryAllowancesByGranterResponse:
    check_address("granter", request.granter)

    def item(key: bytes, _: bytes) -> Grant | None:
        (grantee,) = parts(key)
        return grant(view.state, request.granter, from_bytes(grantee))

    found, page = list_page(view.state, STORE, granter_prefix(request.granter), request.pagination, item)
    return query_pb2.QueryAllowancesByGranterResponse(allowances=found, pagination=page)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Allowance", _allowance),
    query(SERVICE, "Allowances", _allowances),
    query(SERVICE, "AllowancesByGranter", _by_granter),
]
