"""How far a host has revealed its hash chain."""

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.randomness.state import chain
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _chain(view: View, request: query_pb2.QueryHashChainRequest) -> query_pb2.QueryHashChainResponse:
    found = chain(view.state, request.epoch_index, request.participant)
    if found is None:
        raise SdkError(
            SdkCode.NOT_FOUND, f"{request.participant[:90]!r} has no hash chain for epoch {request.epoch_index}"
        )
    return query_pb2.QueryHashChainResponse(hash_chain=found)


QUERIES: list[QueryHandler] = [query(SERVICE, "HashChain", _chain)]
