"""Who may act for whom, and what hardware there is."""

import base64
from itertools import islice

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address, public_key
from pivot.chain.modules.authz.state import check_message_type, grantees
from pivot.chain.modules.participants.state import HARDWARE, STORE, hardware
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNodes

MAX_GRANTEES_TOLD = 1_000
"""In one answer, which the published request cannot ask for in pages."""
SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _hardware(view: View, request: query_pb2.QueryHardwareNodesRequest) -> query_pb2.QueryHardwareNodesResponse:
    return query_pb2.QueryHardwareNodesResponse(nodes=hardware(view.state, request.participant))


def _all_hardware(
    view: View, request: query_pb2.QueryHardwareNodesAllRequest
) -> query_pb2.QueryHardwareNodesAllResponse:
    nodes, page = list_page(
        view.state, STORE, HARDWARE, request.pagination, lambda _, row: HardwareNodes.FromString(row)
    )
    return query_pb2.QueryHardwareNodesAllResponse(nodes=nodes, pagination=page)


def _grantees(
    view: View, request: query_pb2.QueryGranteesByMessageTypeRequest
) -> query_pb2.QueryGranteesByMessageTypeResponse:
    check_address("granter_address", request.granter_address)
    check_message_type(request.message_type_url)
    granted = islice(
        grantees(view.state, request.granter_address, request.message_type_url, view.time), MAX_GRANTEES_TOLD
    )
    return query_pb2.QueryGranteesByMessageTypeResponse(
        grantees=[
            query_pb2.Grantee(
                address=address, pub_key=base64.b64encode(public_key(view.state, address) or b"").decode()
            )
            for address in granted
        ]
    )


QUERIES: list[QueryHandler] = [
    query(SERVICE, "HardwareNodes", _hardware),
    query(SERVICE, "HardwareNodesAll", _all_hardware),
    query(SERVICE, "GranteesByMessageType", _grantees),
]
