"""How messages and queries are registered: one line each in `chain/registry.py`.

A message handler is `handle(block, message) -> response`; a query handler is `answer(view, request) -> response`. Both raise
`Rejection`. From the one registration of a query follow its `abci_query` path (`/package.Query/Method`), its gRPC method and
its REST routes (the `google.api.http` options in its proto).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pivot.chain.types import Block, View
from pivot.protocol.messages import type_url


@dataclass(frozen=True)
class MessageHandler:
    """One line of the message table."""

    type: type[Message]
    handle: Callable[[Block, Any], Message]
    gas: Callable[[Any], int]
    """Gas of one message; a batch's is the sum of its items'."""
    check: Callable[[Any], None]
    """Stateless check; raises Rejection, changes nothing."""
    duty: bool = False
    """Free of fees for members of the current or upcoming epoch and their grantees."""
    urgent: bool = False
    """Goes first in a proposal: commits, votes, claims."""


@dataclass(frozen=True)
class QueryHandler:
    """One line of the query table."""

    method: MethodDescriptor
    answer: Callable[[View, Any], Message]
    request: type[Message]
    response: type[Message]

    @property
    def path(self) -> str:
        """`/package.Service/Method`, for abci_query and gRPC alike."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


class MessageTable:
    """Type URL to handler."""

    def __init__(self, handlers: list[MessageHandler]) -> None:
        self._handlers = {type_url(handler.type): handler for handler in handlers}
        if len(self._handlers) != len(handlers):
            raise ValueError("a message is registered twice")

    def find(self, url: str) -> MessageHandler | None:
        return self._handlers.get(url)

    def all(self) -> Mapping[str, MessageHandler]:
        return self._handlers


class QueryTable:
    """gRPC path to handler."""

    def __init__(self, handlers: list[QueryHandler]) -> None:
        self._handlers = {handler.path: handler for handler in handlers}
        if len(self._handlers) != len(handlers):
            raise ValueError("a query is registered twice")

    def find(self, path: str) -> QueryHandler | None:
        return self._handlers.get(path)

    def all(self) -> Mapping[str, QueryHandler]:
        return self._handlers


def query(service: ServiceDescriptor, method: str, answer: Callable[[View, Any], Message]) -> QueryHandler:
    """A line of the query table; request and response types follow from the service's descriptor."""
    descriptor = service.methods_by_name[method]
    return QueryHandler(
        method=descriptor,
        answer=answer,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
    )
