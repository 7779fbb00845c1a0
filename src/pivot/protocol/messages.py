"""Transactions' messages: their type URLs, and whose signature each one needs.

Our own types are generated into `protocol/generated`; the standard ones come from `cosmpy.protos`. The signer of a
message is what its proto says in the option `cosmos.msg.v1.signer`.
"""

from functools import cache
from typing import Any, cast

from cosmos.msg.v1 import msg_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from pivot.primitives.addresses import OPERATOR_PREFIX, InvalidAddress, of_operator


def type_url(message: Message | type[Message]) -> str:
    """`/package.Name` of a message or a message type."""
    return f"/{message.DESCRIPTOR.full_name}"


def pack(message: Message) -> AnyMessage:
    """The message in an Any, as transactions carry it."""
    return AnyMessage(type_url=type_url(message), value=message.SerializeToString(deterministic=True))


def signers(message: Message) -> list[str]:
    """Addresses whose signatures the message needs, in order, without repetition."""
    found: list[str] = []
    for path in _signer_paths(message.DESCRIPTOR):
        for address in map(_account, _addresses(message, path)):
            if address not in found:
                found.append(address)
    return found


def _account(text: str) -> str:
    """The account that signs for the operator of a validator; any other text as it is."""
    if not text.startswith(OPERATOR_PREFIX):
        return text
    try:
        return of_operator(text)
    except InvalidAddress:
        return text


def signer_fields(kind: type[Message]) -> tuple[str, ...]:
    """Names of the fields that hold the signers of such a message; a dot leads into a message's own."""
    return tuple(".".join(path) for path in _signer_paths(kind.DESCRIPTOR))


@cache
def _signer_paths(descriptor: Descriptor) -> tuple[tuple[str, ...], ...]:
    """Field paths to the signers, through messages that say themselves who signs them."""
    paths: list[tuple[str, ...]] = []
    names: list[str] = list(descriptor.GetOptions().Extensions[cast(Any, msg_pb2.signer)])
    for name in names:
        field = descriptor.fields_by_name[name]
        if field.message_type is None:
            paths.append((name,))
        else:
            paths.extend((name, *rest) for rest in _signer_paths(field.message_type))
    return tuple(paths)


def _addresses(value: Any, path: tuple[str, ...]) -> list[str]:
    if not path:
        return [value]
    inner = getattr(value, path[0])
    items = inner if not isinstance(inner, str | Message) else [inner]
    return [address for item in items for address in _addresses(item, path[1:])]
