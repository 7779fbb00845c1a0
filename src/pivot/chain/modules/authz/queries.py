"""`cosmos.authz.v1beta1.Query`. Expired permissions are not shown."""

from cosmos.authz.v1beta1 import query_pb2
from cosmos.authz.v1beta1.authz_pb2 import Grant, GrantAuthorization

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.authz.state import (
    STORE,
    Permission,
    check_message_type,
    grantee_prefix,
    granter_prefix,
    names_by_grantee,
    pair_prefix,
    permission,
    permission_of,
    published_grant,
)
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.transactions import timestamp

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _grants(view: View, request: query_pb2.QueryGrantsRequest) -> query_pb2.QueryGrantsResponse:
    check_address("granter", request.granter)
    check_address("grantee", request.grantee)
    if request.msg_type_url:
        check_message_type(request.msg_type_url)
        found = permission(view.state, request.granter, request.grantee, request.msg_type_url)
        if found is None or not found.holds(view.time):
            raise SdkError(SdkCode.NOT_FOUND, f"authorization not found for {request.msg_type_url} type")
        return query_pb2.QueryGrantsResponse(grants=[published_grant(found)])

    prefix = pair_prefix(request.granter, request.grantee)

    def item(key: bytes, _: bytes) -> Grant | None:
        found = permission(view.state, *names_by_grantee(prefix[1:] + key))
        return published_grant(found) if found is not None and found.holds(view.time) else None

    grants, page = list_page(view.state, STORE, prefix, request.pagination, item)
    return query_pb2.QueryGrantsResponse(grants=grants, pagination=page)


def _granter_grants(view: View, request: query_pb2.QueryGranterGrantsRequest) -> query_pb2.QueryGranterGrantsResponse:
    check_address("granter", request.granter)
    prefix = granter_prefix(request.granter)

    def item(key: bytes, row: bytes) -> GrantAuthorization | None:
        return _shown(view, permission_of(prefix[1:] + key, row))

    grants, page = list_page(view.state, STORE, prefix, request.pagination, item)
    return query_pb2.QueryGranterGrantsResponse(grants=grants, pagination=page)


def _grantee_grants(view: View, request: query_pb2.QueryGranteeGrantsRequest) -> query_pb2.QueryGranteeGrantsResponse:
    check_address("grantee", request.grantee)
    prefix = grantee_prefix(request.grantee)

    def item(key: bytes, _: bytes) -> GrantAuthorization | None:
        found = permission(view.state, *names_by_grantee(prefix[1:] + key))
        return None if found is None else _shown(view, found)

    grants, page = list_page(view.state, STORE, prefix, request.pagination, item)
    return query_pb2.QueryGranteeGrantsResponse(grants=grants, pagination=page)


def _shown(view: View, found: Permission) -> GrantAuthorization | None:
    if not found.holds(view.time):
        return None
    published = published_grant(found)
    return GrantAuthorization(
        granter=found.granter,
        grantee=found.grantee,
        authorization=published.authorization,
        expiration=timestamp(found.expiration_ns) if found.expiration_ns else None,
    )


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Grants", _grants),
    query(SERVICE, "GranterGrants", _granter_grants),
    query(SERVICE, "GranteeGrants", _grantee_grants),
]
