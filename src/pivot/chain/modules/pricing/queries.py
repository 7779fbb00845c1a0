"""Prices and capacities of models."""

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.models.state import model, models
from pivot.chain.modules.pricing.state import capacity, price
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import ModelCapacity, ModelPrice

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _price(
    view: View, request: query_pb2.QueryGetModelPerTokenPriceRequest
) -> query_pb2.QueryGetModelPerTokenPriceResponse:
    per_token = price(view.state, request.model_id)
    return query_pb2.QueryGetModelPerTokenPriceResponse(price=per_token, found=per_token is not None)


def _prices(
    view: View, _: query_pb2.QueryGetAllModelPerTokenPricesRequest
) -> query_pb2.QueryGetAllModelPerTokenPricesResponse:
    return query_pb2.QueryGetAllModelPerTokenPricesResponse(
        model_prices=[ModelPrice(model_id=each.id, price=price(view.state, each.id)) for each in models(view.state)]
    )


def _capacity(view: View, request: query_pb2.QueryGetModelCapacityRequest) -> query_pb2.QueryGetModelCapacityResponse:
    if model(view.state, request.model_id) is None:
        return query_pb2.QueryGetModelCapacityResponse()
    return query_pb2.QueryGetModelCapacityResponse(capacity=_serving(view, request.model_id), found=True)


def _capacities(
    view: View, _: query_pb2.QueryGetAllModelCapacitiesRequest
) -> query_pb2.QueryGetAllModelCapacitiesResponse:
    return query_pb2.QueryGetAllModelCapacitiesResponse(
        model_capacities=[
            ModelCapacity(model_id=each.id, capacity=_serving(view, each.id)) for each in models(view.state)
        ]
    )


def _serving(view: View, model_id: str) -> int:
    return capacity(view.state, effective_index(view.state), model_id)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "GetModelPerTokenPrice", _price),
    query(SERVICE, "GetAllModelPerTokenPrices", _prices),
    query(SERVICE, "GetModelCapacity", _capacity),
    query(SERVICE, "GetAllModelCapacities", _capacities),
]
