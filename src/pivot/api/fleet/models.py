"""The models that the network knows, with the arguments of their registration."""

from collections.abc import Mapping, Sequence

from pivot.api.fleet.arguments import combine, give_way, registered_arguments
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.interface import Serve
from pivot.api.ledger.interface import Chain
from pivot.protocol.engine_arguments import InvalidArgument
from pivot.protocol.generated.inference.inference.query_pb2 import QueryModelsAllRequest, QueryModelsAllResponse

MODELS_PATH = "/inference.inference.Query/ModelsAll"
PAGE_SIZE = 1_000

RegisteredModels = Mapping[str, tuple[str, ...]]
"""Model id to the arguments of its registration, its commit among them."""


async def registered_models(chain: Chain) -> RegisteredModels:
    """All models of the network. Raises LedgerError."""
    models: dict[str, tuple[str, ...]] = {}
    request = QueryModelsAllRequest()
    request.pagination.limit = PAGE_SIZE
    while True:
        answer = await chain.query(MODELS_PATH, request, QueryModelsAllResponse)
        models |= {model.id: registered_arguments(model) for model in answer.model}
        if not answer.pagination.next_key:
            return models
        request.pagination.key = answer.pagination.next_key


def serving(declared: Mapping[str, Sequence[str]], registered: RegisteredModels) -> Serve | None:
    """The duty to serve the first declared model that the network knows; None when it knows none.

    A contradicting argument (the registration may have changed since the node was declared) gives way to the registration.
    """
    for model, own in declared.items():
        if model in registered:
            try:
                return Serve(model, combine(model, registered[model], own))
            except InvalidArgument:
                return Serve(model, give_way(registered[model], own))
    return None


def require_servable(declaration: NodeDeclaration, registered: RegisteredModels) -> None:
    """Raises InvalidNode for a model that the network does not know, or arguments that its registration forbids."""
    for model, arguments in declaration.models.items():
        if model not in registered:
            known = ", ".join(sorted(registered)) or "none"
            raise InvalidNode(f"models: the network does not know the model {model!r}; it knows {known}")
        try:
            combine(model, registered[model], arguments.args)
        except InvalidArgument as error:
            raise InvalidNode(f"models.{model}.args: {error}") from None
