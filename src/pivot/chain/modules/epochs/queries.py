"""Where the calendar stands."""

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.epochs.state import effective, effective_index, epoch, latest
from pivot.chain.modules.params.state import params
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _current(view: View, _: query_pb2.QueryGetCurrentEpochRequest) -> query_pb2.QueryGetCurrentEpochResponse:
    return query_pb2.QueryGetCurrentEpochResponse(epoch=effective_index(view.state))


def _info(view: View, _: query_pb2.QueryEpochInfoRequest) -> query_pb2.QueryEpochInfoResponse:
    newest = latest(view.state)
    return query_pb2.QueryEpochInfoResponse(
        block_height=view.height,
        params=params(view.state),
        latest_epoch=newest,
        effective_epoch=effective(view.state),
        next_poc_start=newest.boundaries.next_poc_start,
    )


def _record(view: View, request: query_pb2.QueryEpochRecordRequest) -> query_pb2.QueryEpochRecordResponse:
    found = epoch(view.state, request.epoch_index)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"there is no record of epoch {request.epoch_index}")
    return query_pb2.QueryEpochRecordResponse(epoch=found)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "GetCurrentEpoch", _current),
    query(SERVICE, "EpochInfo", _info),
    query(SERVICE, "EpochRecord", _record),
]
