"""Messages out of the JSON of the Cosmos SDK's gateway: the inverse of `gateway/json_form.py`.

It is protobuf's own JSON but for decimals, which stand there with a point and travel in units of 10⁻¹⁸.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from pivot.chain.gateway.json_form import is_decimal
from pivot.protocol.decimals import InvalidDecimal, parse

Made = TypeVar("Made", bound=Message)

_OF_BAD_INPUT = (
    json_format.ParseError,
    InvalidDecimal,
    ValueError,
    KeyError,
    RecursionError,
    AttributeError,
    TypeError,
)
"""The last two come from protobuf itself, where a value has a shape that it does not expect."""


class InvalidJson(ValueError):
    """Text that is not the JSON of the message; the sentence names the field."""


def read(text: str | bytes, message: Made) -> Made:
    """Fill the message from text. Raises InvalidJson."""
    kind: Any = message.DESCRIPTOR
    try:
        given = json.loads(text or "{}")
        if not isinstance(given, dict):
            raise InvalidJson("the JSON must be an object")
        made: Made = json_format.ParseDict(_of_message(given, kind), message)
    except _OF_BAD_INPUT as error:
        raise InvalidJson(str(error)[:500]) from error
    return made


def _of_message(given: Any, kind: Descriptor) -> Any:
    """The same with decimals as they travel; what has another shape is left for protobuf to refuse."""
    if not isinstance(given, Mapping):
        return given
    if kind.full_name == "google.protobuf.Any" and isinstance(given.get("@type"), str):
        kind = descriptor_pool.Default().FindMessageTypeByName(given["@type"].rpartition("/")[2])
    fields = {name: field for field in kind.fields for name in (field.name, field.json_name)}
    return {name: _of_field(each, fields[name]) if name in fields else each for name, each in given.items()}


def _of_field(given: Any, field: FieldDescriptor) -> Any:
    if isinstance(given, list):
        return [_of_field(each, field) for each in given]
    if is_decimal(field) and isinstance(given, str):
        units = str(parse(given))
        return base64.b64encode(units.encode()).decode() if field.type == FieldDescriptor.TYPE_BYTES else units
    return given if field.message_type is None else _of_message(given, field.message_type)
