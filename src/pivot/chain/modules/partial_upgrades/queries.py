"""What API and ML nodes run from which height on."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.partial_upgrades.state import STORE, UPGRADES, partial_upgrade
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _one(view: View, request: query_pb2.QueryGetPartialUpgradeRequest) -> query_pb2.QueryGetPartialUpgradeResponse:
    found = partial_upgrade(view.state, request.height)
    if found is None:
        raise NetworkError(NetworkCode.INFERENCE_NOT_FOUND, f"there is no partial upgrade of height {request.height}")
    return query_pb2.QueryGetPartialUpgradeResponse(partialUpgrade=found)


def _all(view: View, request: query_pb2.QueryAllPartialUpgradeRequest) -> query_pb2.QueryAllPartialUpgradeResponse:
    found, page = list_page(
        view.state, STORE, UPGRADES, request.pagination, lambda _, row: PartialUpgrade.FromString(row)
    )
    return query_pb2.QueryAllPartialUpgradeResponse(partialUpgrade=found, pagination=page)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "PartialUpgrade", _one),
    query(SERVICE, "PartialUpgradeAll", _all),
]
