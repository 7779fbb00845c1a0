"""Decimal numbers in the gateway's JSON. In protobuf the Cosmos SDK writes them without their point; in JSON with it."""

from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from gogoproto import gogo_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from pivot.protocol.decimals import sdk_text

DECIMAL_TYPE = "LegacyDec"
"""What the option `gogoproto.customtype` of a decimal number ends with."""


def write_decimals(message: Message, document: dict[str, Any]) -> None:
    """Put the point into every decimal number of a message's JSON (with the proto's own names)."""
    if not _holds_decimals(message.DESCRIPTOR):
        return
    for field, value in message.ListFields():
        if _is_decimal(field):
            document[field.name] = sdk_text(int(value))
        for inner, shown in _inner(field, value, document):
            write_decimals(inner, shown)


def _inner(field: FieldDescriptor, value: Any, document: dict[str, Any]) -> Iterator[tuple[Message, dict[str, Any]]]:
    """The messages in a field, each with its JSON."""
    if field.message_type is None or not _holds_decimals(field.message_type):
        return
    if field.label == FieldDescriptor.LABEL_REPEATED:
        yield from zip(value, document[field.name], strict=True)
    else:
        yield value, document[field.name]


@cache
def _is_decimal(field: FieldDescriptor) -> bool:
    named: str = field.GetOptions().Extensions[cast(Any, gogo_pb2.customtype)]
    return named.endswith(DECIMAL_TYPE) and field.label != FieldDescriptor.LABEL_REPEATED


@cache
def _holds_decimals(descriptor: Descriptor) -> bool:
    """Whether a decimal number stands in a message of this type, or in one inside it."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen or current.GetOptions().map_entry:
            continue
        seen.add(current.full_name)
        if any(_is_decimal(field) for field in current.fields):
            return True
        waiting.extend(field.message_type for field in current.fields if field.message_type is not None)
    return False
