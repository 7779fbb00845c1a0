"""Fields of messages on the command line: how each kind is written, and how it is read.

text, whole numbers   as they are; an account may be named by a key of the keyring
enum                  its name, or the part of it that tells: yes for VOTE_OPTION_YES
bytes                 base64, or hex behind 0x
coins                 100ngonka; more than one separated by commas
decimals              0.05
times, durations      2030-01-31T12:00:00Z or Unix seconds; 3600s
lists of text         separated by commas
anything else         JSON as the REST gateway prints it, or @FILE with it
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
import typer
from cosmos_proto import cosmos_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pivot.chain.gateway.json_form import is_decimal
from pivot.chain.gateway.json_parse import read
from pivot.cli.names import kebab
from pivot.primitives.addresses import OPERATOR_PREFIX, operator
from pivot.protocol.transactions import NANOSECONDS, timestamp

ADDRESS = "cosmos.AddressString"
OPERATOR = "cosmos.ValidatorAddressString"
ANY = "google.protobuf.Any"
_COIN = re.compile(r"([0-9][0-9_]*)([a-zA-Z][a-zA-Z0-9/:._-]*)")
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_SECONDS = re.compile(r"[0-9]+")
_NUMBERS = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_SINT64,
    }
)

Resolve = Callable[[str], str]
"""The address of an account that may be named by a key."""


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    descriptor: Any
    """Its FieldDescriptor."""

    @property
    def name(self) -> str:
        """As the proto has it."""
        return str(self.descriptor.name)

    @property
    def words(self) -> str:
        """As the command line has it: `to-address`."""
        return kebab(self.name)

    @property
    def is_truth(self) -> bool:
        return bool(self.descriptor.type == FieldDescriptor.TYPE_BOOL and not self.is_list)

    @property
    def is_list(self) -> bool:
        return bool(self.descriptor.label == FieldDescriptor.LABEL_REPEATED)

    @property
    def is_plain(self) -> bool:
        """Whether a value may be given by its place among the arguments: all but truth values, JSON, and what is out of use."""
        out_of_use: bool = self.descriptor.GetOptions().deprecated
        return not self.is_truth and not out_of_use and _reader(self.descriptor) is not _json

    @property
    def help(self) -> str:
        """How a value is written."""
        if self.is_truth:
            return "Truth value."
        reader = _reader(self.descriptor)
        told = _WRITTEN[reader]
        if reader is _enum:
            told = f"One of {', '.join(_enum_words(self.descriptor))}."
        elif reader is _text and self.is_account:
            told = "Account: address, or name of a key."
        if self.is_list and reader not in {_json, _messages, _coin}:
            told += " Several are separated by commas."
        return told

    def put(self, message: Message, text: str, resolve: Resolve) -> None:
        """Read a value into the message. Raises typer.BadParameter."""
        reader = _reader(self.descriptor)
        try:
            if reader in {_json, _messages}:
                value: Any = reader(self.descriptor, text)
            elif self.is_list:
                value = [self._one(reader, part.strip(), resolve) for part in text.split(",") if part.strip()]
            else:
                value = self._one(reader, text, resolve)
            read(json.dumps({self.name: value}), message)
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error), param_hint=f"--{self.words}") from error

    def _one(self, reader: Callable[..., Any], text: str, resolve: Resolve) -> Any:
        if reader is _text and self.is_account:
            return self.account(resolve(text))
        return reader(self.descriptor, text)

    @property
    def is_account(self) -> bool:
        """Whether it names an account, as such or as the operator of a validator."""
        return self._scalar in {ADDRESS, OPERATOR}

    def account(self, address: str) -> str:
        """An account's address in the form of this field."""
        if self._scalar != OPERATOR or address.startswith(OPERATOR_PREFIX):
            return address
        return operator(address)

    @property
    def _scalar(self) -> str:
        return str(self.descriptor.GetOptions().Extensions[cast(Any, cosmos_pb2.scalar)])


def fields_of(descriptor: Any) -> list[Field]:
    """The fields of a message in the order of their numbers."""
    return [Field(field) for field in sorted(descriptor.fields, key=lambda field: field.number)]


def parse_coins(text: str) -> list[dict[str, str]]:
    """`100ngonka,5stake` as the JSON of coins. Raises ValueError."""
    return [_coin(None, part.strip()) for part in text.split(",") if part.strip()]


def parse_time(text: str) -> str:
    """A time in RFC 3339 or Unix seconds as RFC 3339. Raises ValueError."""
    return _time(None, text)


def read_json(text: str) -> Any:
    """JSON, or the JSON in @FILE. Raises ValueError, OSError."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"neither JSON nor @FILE with JSON: {error}") from error


def _reader(field: FieldDescriptor) -> Callable[..., Any]:
    if is_decimal(field):
        return _text
    if field.message_type is not None:
        if Field(field).is_list and field.message_type.full_name == ANY:
            return _messages
        return _MESSAGES.get(field.message_type.full_name, _json)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes
    if field.type in _NUMBERS:
        return _number
    return _text if field.type == FieldDescriptor.TYPE_STRING else _json


def _text(_: FieldDescriptor, text: str) -> str:
    return text


def _number(_: FieldDescriptor, text: str) -> str:
    return text.replace("_", "")


def _enum(field: Any, text: str) -> str:
    words = _enum_words(field)
    for value in field.enum_type.values:
        if text.upper() == value.name or text == str(value.number):
            return str(value.name)
    if text.lower() not in words:
        raise ValueError(f"{text!r} is none of {', '.join(words)}")
    return str(field.enum_type.values[words.index(text.lower())].name)


def _enum_words(field: Any) -> list[str]:
    """The values without what their names have in common: yes, abstain, no-with-veto."""
    names = [str(value.name) for value in field.enum_type.values]
    common = "" if len(names) == 1 else f"{re.sub('(?<=[a-z0-9])(?=[A-Z])', '_', field.enum_type.name).upper()}_"
    return [name.removeprefix(common).lower().replace("_", "-") for name in names]


def _bytes(_: FieldDescriptor, text: str) -> str:
    try:
        raw = bytes.fromhex(text[2:]) if text.startswith("0x") else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{text[:40]!r} is neither base64 nor hex behind 0x") from None
    return base64.b64encode(raw).decode()


def _coin(_: FieldDescriptor | None, text: str) -> dict[str, str]:
    match = _COIN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no amount of a coin such as 100ngonka")
    return {"amount": str(int(match[1].replace("_", ""))), "denom": match[2]}


def _decimal(_: FieldDescriptor, text: str) -> dict[str, str | int]:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no decimal number such as 0.05")
    behind = match[3] or ""
    return {"value": f"{match[1]}{match[2]}{behind}", "exponent": -len(behind)}


def _time(_: FieldDescriptor | None, text: str) -> str:
    if _SECONDS.fullmatch(text):
        return str(timestamp(int(text) * NANOSECONDS).ToJsonString())
    return text


def _duration(_: FieldDescriptor, text: str) -> str:
    return f"{text}s" if _SECONDS.fullmatch(text) else text


def _json(_: FieldDescriptor, text: str) -> Any:
    return read_json(text)


def _messages(_: FieldDescriptor, text: str) -> list[Any]:
    """The messages of a transaction, of a list, or one alone."""
    inline = text.lstrip().startswith(("[", "{"))
    found = read_json(text if inline else f"@{text.removeprefix('@')}")
    if isinstance(found, dict):
        if "@type" in found:
            return [found]
        found = found.get("body", found).get("messages")
    if not isinstance(found, list) or not found:
        raise ValueError(f"{text[:40]!r} holds no messages")
    return found


_MESSAGES: dict[str, Callable[..., Any]] = {
    "cosmos.base.v1beta1.Coin": _coin,
    "inference.inference.Decimal": _decimal,
    "google.protobuf.Timestamp": _time,
    "google.protobuf.Duration": _duration,
}

_WRITTEN: dict[Callable[..., Any], str] = {
    _text: "Text.",
    _number: "Whole number.",
    _enum: "",
    _bytes: "Bytes in base64, or in hex behind 0x.",
    _coin: "Coins, such as 100ngonka.",
    _decimal: "Decimal number, such as 0.05.",
    _time: "Time in RFC 3339, or in Unix seconds.",
    _duration: "Duration, such as 3600s.",
    _json: "JSON, or @FILE with it.",
    _messages: "FILE with messages, or their JSON.",
}
