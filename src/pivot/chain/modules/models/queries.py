"""Models and prices."""

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.models.state import MODELS, STORE, models, price
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import Model, ModelPrice

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _models(view: View, request: query_pb2.QueryModelsAllRequest) -> query_pb2.QueryModelsAllResponse:
    found, page = list_page(view.state, STORE, MODELS, request.pagination, lambda _, row: Model.FromString(row))
    return query_pb2.QueryModelsAllResponse(model=found, pagination=page)


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


QUERIES: list[QueryHandler] = [
    query(SERVICE, "ModelsAll", _models),
    query(SERVICE, "GetModelPerTokenPrice", _price),
    query(SERVICE, "GetAllModelPerTokenPrices", _prices),
]
