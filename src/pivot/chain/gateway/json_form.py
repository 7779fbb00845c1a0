"""A message in the JSON of the Cosmos SDK's gateway.

Names and order as in the proto; 64-bit integers as text, enums by name, bytes in base64. Nothing is left out: what has no
value is shown empty, a message that is not there as null, or with its defaults where its proto calls it `nullable = false`.
Integers of unlimited size are text, decimals (text or bytes in units of 10⁻¹⁸ on the wire) have a point and 18 digits behind it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from gogoproto import gogo_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from pivot.chain.gateway.refusals import Refusal
from pivot.protocol.decimals import sdk_text

MAX_NESTING = 16
"""Messages in Anys inside one another; no message of this chain needs more than three."""
ZERO_TIME = "0001-01-01T00:00:00Z"
"""A time that is not given and cannot be null."""
Writer = Callable[[Any, int], Any]
"""A value as JSON; the number counts the Anys around it."""

_AS_TEXT = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)


def document(message: Message) -> dict[str, Any]:
    """The message, ready to be written. Raises Refusal for an Any of a type that this node does not know, or too many in one another."""
    return _document(message, 0)


def is_decimal(field: FieldDescriptor) -> bool:
    """Whether a field holds units of 10⁻¹⁸, as text or bytes."""
    return _custom_type(field).endswith("Dec")


def _document(message: Message, depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in _fields_of(message):
        if field.chosen and not message.HasField(field.name):
            continue  # another one of its group, or none, is set
        value = getattr(message, field.name)
        if field.is_map:
            shown[field.name] = {str(key): field.write(each, depth) for key, each in value.items()}
        elif field.repeated:
            shown[field.name] = [field.write(each, depth) for each in value]
        elif field.absent is not None and not message.HasField(field.name):
            shown[field.name] = field.absent()
        else:
            shown[field.name] = field.write(value, depth)
    return shown


@dataclass(frozen=True)
class _Field:
    name: str
    chosen: bool
    """One of several, of which at most one is set: only that one is shown."""
    is_map: bool
    repeated: bool
    write: Writer
    absent: Callable[[], Any] | None
    """What stands for a message that is not there."""


def _fields_of(message: Message) -> tuple[_Field, ...]:
    kind: Any = message.DESCRIPTOR
    return _fields(kind)


@cache
def _fields(kind: Descriptor) -> tuple[_Field, ...]:
    return tuple(map(_plan, kind.fields))


def _plan(field: Any) -> _Field:
    repeated = field.label == FieldDescriptor.LABEL_REPEATED
    is_map = repeated and field.message_type is not None and field.message_type.GetOptions().map_entry
    written = field.message_type.fields_by_name["value"] if is_map else field
    single = field.message_type is not None and not repeated
    return _Field(
        name=field.name,
        chosen=field.containing_oneof is not None,
        is_map=is_map,
        repeated=repeated,
        write=_writer(written, listed=repeated),
        absent=_absent(field) if single else None,
    )


def _writer(field: Any, *, listed: bool) -> Writer:
    if is_decimal(field):
        return _decimal
    if _custom_type(field).endswith(".Int"):
        return _integer
    if field.message_type is not None:
        return _OF_MESSAGES.get(field.message_type.full_name, _document)
    if field.type in _AS_TEXT:
        return lambda number, _: str(number)
    if field.type == FieldDescriptor.TYPE_ENUM:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number, _: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _base64 if listed else lambda raw, _: _base64(raw) if raw else None
    return _itself


def _absent(field: Any) -> Callable[[], Any]:
    options: Any = field.GetOptions()
    if not options.HasExtension(gogo_pb2.nullable) or options.Extensions[gogo_pb2.nullable]:
        return lambda: None
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return lambda: ZERO_TIME
    empty: Message = GetMessageClass(field.message_type).FromString(b"")
    write: Writer = _OF_MESSAGES.get(field.message_type.full_name, _document)
    return lambda: write(empty, 0)


def _custom_type(field: FieldDescriptor) -> str:
    """The Go type that reads the field, if its proto names one."""
    options: Any = field.GetOptions()
    return str(options.Extensions[gogo_pb2.customtype])


def _itself(value: Any, _: int) -> Any:
    return value


def _base64(raw: bytes, _: int = 0) -> str:
    return base64.b64encode(raw).decode()


def _integer(value: str, _: int) -> str:
    return value or "0"


def _decimal(value: str | bytes, _: int) -> str:
    units = value if isinstance(value, str) else value.decode("ascii", "replace")
    try:
        return sdk_text(int(units or "0"))
    except ValueError:
        return units  # somebody has sent it; it stands in a transaction as it is


def _well_known(value: Any, _: int) -> str | None:
    """A time or a duration; null if it is out of range, which only a transaction that was refused can hold."""
    try:
        text: str = value.ToJsonString()
    except ValueError:
        return None
    return text


def _packed(packed: Any, depth: int) -> dict[str, Any] | None:
    if not packed.type_url:
        return None
    if depth == MAX_NESTING:
        raise Refusal(StatusCode.INVALID_ARGUMENT, f"messages stand in messages, more than {MAX_NESTING} deep")
    name = packed.type_url.rpartition("/")[2]
    try:
        kind = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
        inner = kind.FromString(packed.value)
    except (KeyError, DecodeError) as error:
        raise Refusal(StatusCode.INTERNAL, f"the answer holds a {name[:200]} that this node cannot read") from error
    return {"@type": packed.type_url} | _document(inner, depth + 1)


_OF_MESSAGES: dict[str, Writer] = {
    "google.protobuf.Any": _packed,
    "google.protobuf.Timestamp": _well_known,
    "google.protobuf.Duration": _well_known,
}
