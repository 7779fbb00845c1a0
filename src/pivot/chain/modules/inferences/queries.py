"""Inferences as clients read them."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences.state import EXPIRIES, ORDER, STORE, expiry_of, id_in_order, inference
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    InferenceTimeout,
    QueryAllInferenceRequest,
    QueryAllInferenceResponse,
    QueryAllInferenceTimeoutRequest,
    QueryAllInferenceTimeoutResponse,
    QueryGetInferenceRequest,
    QueryGetInferenceResponse,
    QueryGetInferenceTimeoutRequest,
    QueryGetInferenceTimeoutResponse,
    QueryGetRandomExecutorRequest,
    QueryGetRandomExecutorResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus, ParticipantStatus


def _inference(view: View, request: QueryGetInferenceRequest) -> QueryGetInferenceResponse:
    found = inference(view.state, request.index)
    if found is None:
        raise NetworkError(NetworkCode.INFERENCE_NOT_FOUND, f"there is no inference {request.index[:100]!r}")
    return QueryGetInferenceResponse(inference=found)


def _all(view: View, request: QueryAllInferenceRequest) -> QueryAllInferenceResponse:
    """In the order in which they came to the chain; `pagination.reverse` gives the newest first."""

    def record(key: bytes, _: bytes) -> Inference | None:
        return inference(view.state, id_in_order(key))

    found, page = list_page(view.state, STORE, ORDER, request.pagination, record)
    return QueryAllInferenceResponse(inference=found, pagination=page)


def _timeout(view: View, request: QueryGetInferenceTimeoutRequest) -> QueryGetInferenceTimeoutResponse:
    """An open inference, and the height at which it expires."""
    found = inference(view.state, request.inferenceId)
    if found is None or found.status != InferenceStatus.STARTED or found.expires_at_height != request.expirationHeight:
        raise NetworkError(
            NetworkCode.INFERENCE_NOT_FOUND,
            f"no open inference {request.inferenceId[:100]!r} expires at height {request.expirationHeight}",
        )
    return QueryGetInferenceTimeoutResponse(
        inference_timeout=InferenceTimeout(expiration_height=request.expirationHeight, inference_id=request.inferenceId)
    )


def _all_timeouts(view: View, request: QueryAllInferenceTimeoutRequest) -> QueryAllInferenceTimeoutResponse:
    """Open inferences by the height at which they expire."""

    def shown(key: bytes, _: bytes) -> InferenceTimeout:
        height, inference_id = expiry_of(key)
        return InferenceTimeout(expiration_height=height, inference_id=inference_id)

    found, page = list_page(view.state, STORE, EXPIRIES, request.pagination, shown)
    return QueryAllInferenceTimeoutResponse(inference_timeout=found, pagination=page)


def _random_executor(view: View, request: QueryGetRandomExecutorRequest) -> QueryGetRandomExecutorResponse:
    """The first host of the draw that is not INVALID; without a request's id, a draw for the last block's time."""
    current = effective(view.state)
    seed = request.inference_id or str(view.time)
    for address in draw.executors(weights(view.state, current.index, request.model), seed, current.randomness):
        found = require_participant(view.state, address)
        if found.status != ParticipantStatus.INVALID:
            return QueryGetRandomExecutorResponse(executor=found)
    raise NetworkError(
        NetworkCode.INVALID_MODEL, f"nobody serves the model {request.model[:90]!r} in epoch {current.index}"
    )


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [
    query(_SERVICE, "Inference", _inference),
    query(_SERVICE, "InferenceAll", _all),
    query(_SERVICE, "InferenceTimeout", _timeout),
    query(_SERVICE, "InferenceTimeoutAll", _all_timeouts),
    query(_SERVICE, "GetRandomExecutor", _random_executor),
]
