"""How messages and queries are registered: one line each in `chain/registry.py`.

A message handler is `handle(block, message) -> response`; a query handler is `answer(view, request) -> response`. Both raise
`Rejection`. From the one registration of a query follow its `abci_query` path (`/package.Query/Method`), its gRPC method and
its REST routes (the `google.api.http` options in its proto).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from pivot.chain.errors import SdkCode, SdkError
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
    inner: Callable[[Any], Sequence[Message]] | None = None
    """The messages that this one carries for others to be responsible for (MsgExec); their duties and urgency count."""


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

    def unpack(self, packed: AnyMessage) -> tuple[MessageHandler, Message]:
        """The handler of a packed message, and the message. Raises SdkError (UNKNOWN_REQUEST, TX_DECODE)."""
        handler = self._handlers.get(packed.type_url)
        if handler is None:
            raise SdkError(SdkCode.UNKNOWN_REQUEST, f"there is no message {packed.type_url[:200]!r}")
        return handler, decode(handler.type, packed.value)


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


Decoded = TypeVar("Decoded", bound=Message)


def decode(kind: type[Decoded], raw: bytes) -> Decoded:
    """The message that `raw` encodes. Raises SdkError (TX_DECODE), also for fields that the type does not have.

    Python's protobuf keeps such fields silently; a signer would sign something that nobody sees.
    """
    try:
        message = kind.FromString(raw)
    except DecodeError:
        raise SdkError(SdkCode.TX_DECODE, f"{kind.DESCRIPTOR.full_name} cannot be decoded") from None
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise SdkError(SdkCode.TX_DECODE, f"{kind.DESCRIPTOR.full_name} has a field that this chain does not know")
    return message


def query(service: ServiceDescriptor, method: str, answer: Callable[[View, Any], Message]) -> QueryHandler:
    """A line of the query table; request and response types follow from the service's descriptor."""
    descriptor = service.methods_by_name[method]
    return QueryHandler(
        method=descriptor,
        answer=answer,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
    )
