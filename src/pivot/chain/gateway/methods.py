"""What the gateway serves: one line per method, from which gRPC path and REST routes both follow.

The query table of the chain gives the methods that read committed state; `gateway/blocks.py` and
`gateway/transactions.py` give those that ask the engine.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


@dataclass(frozen=True)
class Answer:
    """A response and the height of the state that it was read from; None where the engine has answered."""

    response: Message
    height: int | None = None


@dataclass(frozen=True)
class Method:
    """One method. `answer(request, height)` raises Refusal; `height` is the one that the client insists on, if any."""

    descriptor: MethodDescriptor
    request: type[Message]
    response: type[Message]
    answer: Callable[[Any, int | None], Awaitable[Answer]]

    @property
    def path(self) -> str:
        """`/package.Service/Method`."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"


def method(descriptor: MethodDescriptor, answer: Callable[[Any, int | None], Awaitable[Answer]]) -> Method:
    """A line of the table; request and response types follow from the descriptor."""
    return Method(
        descriptor=descriptor,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        answer=answer,
    )


def engine_methods(
    service: ServiceDescriptor, handlers: Mapping[str, Callable[[Any], Awaitable[Message]]]
) -> list[Method]:
    """Lines for methods of one service that the engine answers."""
    return [method(service.methods_by_name[name], _asks_engine(handler)) for name, handler in handlers.items()]


def by_service(methods: Sequence[Method]) -> dict[str, list[Method]]:
    """The methods under their services' full names."""
    services: dict[str, list[Method]] = {}
    for each in methods:
        services.setdefault(each.descriptor.containing_service.full_name, []).append(each)
    return services


def _asks_engine(handler: Callable[[Any], Awaitable[Message]]) -> Callable[[Any, int | None], Awaitable[Answer]]:
    async def answer(request: Any, _: int | None) -> Answer:
        return Answer(await handler(request))

    return answer
