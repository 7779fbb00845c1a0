"""Members of the epochs, and the parameters together with the members that may be called."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.inferences.answers import requests
from pivot.chain.modules.members.state import GROUPS, STORE, active_participants, group, weights
from pivot.chain.modules.params.state import params
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import EpochGroupData

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    current = params(view.state)
    members = [address for address, _ in weights(view.state, effective_index(view.state))]
    current.transfer_agent_access_params.allowed_transfer_addresses[:] = members
    return query_pb2.QueryParamsResponse(params=current)


def _group(view: View, request: query_pb2.QueryGetEpochGroupDataRequest) -> query_pb2.QueryGetEpochGroupDataResponse:
    found = _shown(view, _require_group(view, request.epoch_index, request.model_id))
    return query_pb2.QueryGetEpochGroupDataResponse(epoch_group_data=found)


def _groups(view: View, request: query_pb2.QueryAllEpochGroupDataRequest) -> query_pb2.QueryAllEpochGroupDataResponse:
    """All that are kept: of each epoch that of all members, then those of its models."""
    found, page = list_page(
        view.state, STORE, GROUPS, request.pagination, lambda _, row: _shown(view, EpochGroupData.FromString(row))
    )
    return query_pb2.QueryAllEpochGroupDataResponse(epoch_group_data=found, pagination=page)


def _current_group(
    view: View, _: query_pb2.QueryCurrentEpochGroupDataRequest
) -> query_pb2.QueryCurrentEpochGroupDataResponse:
    found = _shown(view, _require_group(view, effective_index(view.state), ""))
    return query_pb2.QueryCurrentEpochGroupDataResponse(epoch_group_data=found)


def _active(view: View, request: query_pb2.QueryActiveParticipantsRequest) -> query_pb2.QueryActiveParticipantsResponse:
    found = active_participants(view.state, request.epoch_index)
    if found is None:
        raise NetworkError(NetworkCode.EPOCH_NOT_FOUND, f"there is no list of members of epoch {request.epoch_index}")
    return query_pb2.QueryActiveParticipantsResponse(active_participants=found)


def _shown(view: View, found: EpochGroupData) -> EpochGroupData:
    """The group as published: that of all members with the answers of its epoch, and of the one before."""
    shown = EpochGroupData()
    shown.CopyFrom(found)
    if not found.model_id:
        shown.number_of_requests = requests(view.state, found.epoch_index)
        shown.previous_epoch_requests = requests(view.state, found.epoch_index - 1)
    return shown


def _require_group(view: View, epoch: int, model: str) -> EpochGroupData:
    found = group(view.state, epoch, model)
    if found is None:
        of_model = f" that serve {model[:90]!r}" if model else ""
        raise NetworkError(NetworkCode.EPOCH_NOT_FOUND, f"there is no group of members{of_model} in epoch {epoch}")
    return found


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(SERVICE, "EpochGroupData", _group),
    query(SERVICE, "EpochGroupDataAll", _groups),
    query(SERVICE, "CurrentEpochGroupData", _current_group),
    query(SERVICE, "ActiveParticipants", _active),
]
