"""Models as they are registered."""

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.models.state import MODELS, STORE
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import Model

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _models(view: View, request: query_pb2.QueryModelsAllRequest) -> query_pb2.QueryModelsAllResponse:
    found, page = list_page(view.state, STORE, MODELS, request.pagination, lambda _, row: Model.FromString(row))
    return query_pb2.QueryModelsAllResponse(model=found, pagination=page)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "ModelsAll", _models),
]
