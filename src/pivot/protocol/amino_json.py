"""SIGN_MODE_LEGACY_AMINO_JSON: messages as the JSON that hardware wallets and multisignature accounts sign.

The rules are those of the Cosmos SDK since 0.50 (`x/tx`): a message's name is its option `amino.name`, and in an Any that has
none its type URL; what is empty is left out unless `amino.dont_omitempty`; numbers of 64 bits, decimals and durations are
text; keys are sorted. All messages of this network's own have their type URL for a name.
"""

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from amino import amino_pb2
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody
from cosmos_proto import cosmos_pb2
from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

DECIMALS = 18
"""Digits behind the point of a `cosmos.Dec`, which travels without the point."""
NANOSECONDS = 10**9
MAX_NESTING = 16
"""Messages in Anys inside one another."""

_Encode = Callable[[Any, int], Any]
"""A field's or a message's value as JSON; the number counts the Anys around it."""

_TEXT_KINDS = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
_ESCAPED = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""As the JSON writer of the Go implementation escapes them; they occur in text only."""


class NotInAminoJson(ValueError):
    """The transaction holds something that this form cannot express or does not cover."""


def amino_sign_bytes(body: bytes, auth_info: bytes, chain_id: str, account_number: int, sequence: int) -> bytes:
    """What a signer of a transaction signs (SIGN_MODE_LEGACY_AMINO_JSON); the sequence is this signer's.

    Raises NotInAminoJson, above all for an unordered transaction and for a `timeout_timestamp`: the signature would not cover
    them, so somebody else could set them and have an ordered transaction run a second time.
    """
    content, auth = TxBody.FromString(body), AuthInfo.FromString(auth_info)
    if content.unordered or content.HasField("timeout_timestamp"):
        raise NotInAminoJson("unordered transactions and timeout_timestamp need SIGN_MODE_DIRECT")
    fee: dict[str, Any] = {
        "amount": [_fields(coin, 0) for coin in auth.fee.amount],
        "gas": str(auth.fee.gas_limit),
        **({"payer": auth.fee.payer} if auth.fee.payer else {}),
        **({"granter": auth.fee.granter} if auth.fee.granter else {}),
    }
    document = {
        "account_number": str(account_number),
        "chain_id": chain_id,
        "fee": fee,
        "memo": content.memo,
        "msgs": [amino_json(message) for message in content.messages],
        "sequence": str(sequence),
        **({"timeout_height": str(content.timeout_height)} if content.timeout_height else {}),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_ESCAPED).encode()


def amino_json(message: Message) -> Any:
    """A message as a JSON value; one with a name as `{"type", "value"}`. Raises NotInAminoJson."""
    name = message.DESCRIPTOR.GetOptions().Extensions[cast(Any, amino_pb2.name)]
    return {"type": name, "value": _value(message, 0)} if name else _value(message, 0)


def _value(message: Message, depth: int) -> Any:
    """A message's value; `depth` counts the Anys around it."""
    encoding = message.DESCRIPTOR.GetOptions().Extensions[cast(Any, amino_pb2.message_encoding)]
    special = _SPECIAL_TYPES.get(message.DESCRIPTOR.full_name) or _SPECIAL_ENCODINGS.get(encoding)
    return special(message, depth) if special else _fields(message, depth)


def _fields(message: Message, depth: int) -> dict[str, Any]:
    found = {}
    for field in message.DESCRIPTOR.fields:
        name, kept, encode = _rule(field)
        value = getattr(message, field.name)
        if kept or (message.HasField(field.name) if field.has_presence else value):
            found[name] = encode(value, depth)
    return found


@cache
def _rule(field: FieldDescriptor) -> tuple[str, bool, _Encode]:
    """A field's name in the JSON, whether it is written even if it is empty, and how its value is written."""
    options = field.GetOptions().Extensions
    if field.containing_oneof is not None:
        raise NotInAminoJson(f"{field.full_name} is one of several fields: this message needs SIGN_MODE_DIRECT")
    name = options[cast(Any, amino_pb2.field_name)] or field.name
    encoding = options[cast(Any, amino_pb2.encoding)] or options[cast(Any, cosmos_pb2.scalar)]
    return name, options[cast(Any, amino_pb2.dont_omitempty)], _encoder(field, encoding)


def _encoder(field: FieldDescriptor, encoding: str) -> _Encode:
    one = _SPECIAL_FIELDS.get(encoding) or _of_kind(field)
    if field.default_value != []:  # that of a repeated field
        return one
    empty: list[Any] | None = [] if encoding == "legacy_coins" else None
    return lambda values, depth: [one(value, depth) for value in values] or empty


def _of_kind(field: FieldDescriptor) -> _Encode:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            raise NotInAminoJson(f"{field.full_name} is a map: this message needs SIGN_MODE_DIRECT")
        return _value
    if field.type in _TEXT_KINDS:
        return lambda number, _: str(number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda raw, _: _base64(raw)
    if field.type in {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}:
        raise NotInAminoJson(f"{field.full_name} is no exact number: this message needs SIGN_MODE_DIRECT")
    return lambda value, _: value


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decimal(text: str | bytes, _: int = 0) -> str:
    """A `cosmos.Dec`: a whole number of 10⁻¹⁸."""
    digits = text.decode() if isinstance(text, bytes) else text
    if not digits:
        return "0"
    sign, unsigned = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    if not (unsigned.isascii() and unsigned.isdigit()):
        raise NotInAminoJson(f"{digits[:40]!r} is not a decimal")
    padded = unsigned.lstrip("0").rjust(DECIMALS + 1, "0")
    return f"{sign}{padded[:-DECIMALS]}.{padded[-DECIMALS:]}"


def _any(packed: AnyMessage, depth: int) -> dict[str, Any]:
    if depth == MAX_NESTING:
        raise NotInAminoJson(f"messages inside messages, more than {MAX_NESTING} deep")
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(packed.type_url.rpartition("/")[2])
        message = GetMessageClass(descriptor).FromString(packed.value)
    except (KeyError, DecodeError):
        raise NotInAminoJson(f"{packed.type_url[:200]!r} cannot be read") from None
    name = descriptor.GetOptions().Extensions[cast(Any, amino_pb2.name)] or packed.type_url
    return {"type": name, "value": _value(message, depth + 1)}


def _timestamp(time: Timestamp, _: int) -> str:
    """RFC 3339 with as many digits of a second as it has."""
    try:
        text = time.ToJsonString()
    except ValueError:
        raise NotInAminoJson(f"{time.seconds} seconds are no time between the years 1 and 9999") from None
    return text if "." not in text else text.removesuffix("Z").rstrip("0") + "Z"


def _duration(duration: Duration, _: int) -> str:
    return str(duration.seconds * NANOSECONDS + duration.nanos)


def _key(message: Any, _: int) -> str | None:
    return _base64(message.key) if message.key else None


def _threshold_key(message: Any, depth: int) -> dict[str, Any]:
    return {"threshold": str(message.threshold), "pubkeys": [_any(each, depth) for each in message.public_keys]}


_SPECIAL_TYPES: dict[str, _Encode] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
}
_SPECIAL_ENCODINGS: dict[str, _Encode] = {"key_field": _key, "threshold_string": _threshold_key}
_SPECIAL_FIELDS: dict[str, _Encode] = {
    "cosmos.Dec": _decimal,
    "cosmos_dec_bytes": _decimal,
    "cosmos.Int": lambda text, _: text or "0",
}
