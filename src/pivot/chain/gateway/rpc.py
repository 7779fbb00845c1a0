"""gRPC: every method under its own path, and server reflection for clients that explore."""

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection

from pivot.chain.gateway.methods import Method, by_service
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.gateway.rest import HEIGHT_HEADER, height_of

MAX_REQUEST_BYTES = 4 * 2**20
MAX_RESPONSE_BYTES = 64 * 2**20


def grpc_server(methods: Sequence[Method], address: str) -> grpc.aio.Server:
    """A server on `host:port`, not yet started. Raises RuntimeError when the port is taken."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
            ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
    )
    services = by_service(methods)
    for name, its_methods in services.items():
        handlers = {method.descriptor.name: _handler(method) for method in its_methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server)
    server.add_insecure_port(address)
    return server


def _handler(method: Method) -> Any:
    async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        try:
            found = await method.answer(request, _height(context.invocation_metadata()))
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.message)
        if found.height is not None:
            await context.send_initial_metadata(((HEIGHT_HEADER, str(found.height)),))
        return found.response

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=method.request.FromString, response_serializer=_serialize
    )


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _height(metadata: Any) -> int | None:
    for name, value in metadata or ():
        if name == HEIGHT_HEADER:
            return height_of(value if isinstance(value, str) else value.decode("ascii", "replace"))
    return None
