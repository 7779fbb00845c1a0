"""Inferences as clients read them."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.inferences.state import ORDER, STORE, id_in_order, inference
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllInferenceRequest,
    QueryAllInferenceResponse,
    QueryGetInferenceRequest,
    QueryGetInferenceResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Inference


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


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [
    query(_SERVICE, "Inference", _inference),
    query(_SERVICE, "InferenceAll", _all),
]
