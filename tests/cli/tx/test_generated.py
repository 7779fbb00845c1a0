"""Every message of the registry has a command, and what the command builds is the message."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pivot.chain.gateway.json_form import document, is_decimal
from pivot.chain.handlers import MessageHandler
from pivot.chain.registry import MESSAGES
from pivot.cli import load
from pivot.cli.fields import Field
from pivot.cli.tx.generated import Form, modules, option_name, parameter
from pivot.protocol.messages import signers, type_url
from tests.chain.chain import key

SENDER = key("alice").address
OTHER = key("bob").address
HANDLERS = list(MESSAGES.all().values())


def filled(descriptor: Descriptor, depth: int = 0) -> Message:
    """A message with a value in every field."""
    message: Any = GetMessageClass(descriptor)()
    if isinstance(message, AnyMessage):
        return AnyMessage(type_url="/cosmos.bank.v1beta1.MsgSend", value=b"")
    for field in descriptor.fields:
        if field.containing_oneof is not None and field != field.containing_oneof.fields[0]:
            continue
        if field.message_type is not None and (depth > 3 or field.message_type.GetOptions().map_entry):
            continue
        value = sample(field, depth)
        if field.label == FieldDescriptor.LABEL_REPEATED:
            getattr(message, field.name).append(value)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def sample(field: Any, depth: int) -> Any:
    kind = field.message_type
    if kind is not None and kind.full_name == "cosmos.base.v1beta1.Coin":
        return GetMessageClass(kind)(denom="ngonka", amount="12")
    if kind is not None and kind.full_name in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
        return GetMessageClass(kind)(seconds=1_900_000_000 if kind.name == "Timestamp" else 60)
    if kind is not None and kind.full_name == "inference.inference.Decimal":
        return GetMessageClass(kind)(value=5, exponent=-2)
    if kind is not None:
        return filled(kind, depth + 1)
    if is_decimal(field):
        return "5" if field.type == FieldDescriptor.TYPE_STRING else b"5"
    if field.type == FieldDescriptor.TYPE_STRING:
        return Field(field).account(OTHER) if Field(field).is_account else "text"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\xfb\xff"
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values[-1].number
    return True if field.type == FieldDescriptor.TYPE_BOOL else 3


def written(field: FieldDescriptor, message: Message) -> str:
    """A field's value as a person writes it."""
    value = document(message)[field.name]
    kind = field.message_type.full_name if field.message_type is not None else ""
    if kind == "cosmos.base.v1beta1.Coin":
        return "12ngonka"
    if kind == "inference.inference.Decimal":
        return "0.05"
    if field.label == FieldDescriptor.LABEL_REPEATED and not kind:
        return ",".join(map(str, value))
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else json.dumps(value)


def name_signer(form: Form, message: Message) -> None:
    """Put the sender into the field that `--from` fills, in the field's own form."""
    if form.signer:
        field = Field(message.DESCRIPTOR.fields_by_name[form.signer])
        setattr(message, form.signer, field.account(SENDER))


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.type.DESCRIPTOR.full_name)
def test_every_message_has_a_command_that_builds_it(handler: MessageHandler) -> None:
    [(module, verb)] = [(m, v) for m, verbs in modules().items() for v, found in verbs.items() if found is handler]
    group: Any = load("tx").get_command(typer.Context(load("tx")), module)
    assert verb in group.commands

    form = Form(handler)
    wanted = filled(handler.type.DESCRIPTOR)
    name_signer(form, wanted)
    options = {}
    for field in form.fields:
        options[parameter(field)] = True if field.is_truth else written(field.descriptor, wanted)
        assert any(option_name(field, form.shape) in each.opts for each in group.commands[verb].params)
    for shaped in form.shape.options if form.shape else ():
        options[shaped.name] = shaped.default
    built, sender = form.build(SENDER, [], options, str)
    assert sender == SENDER
    assert built == wanted
    assert handler.type.FromString(built.SerializeToString()) == wanted
    if form.signer:
        assert signers(built)[0] == SENDER


@pytest.mark.parametrize(
    "handler",
    [each for each in HANDLERS if Form(each).shape is None],
    ids=lambda handler: handler.type.DESCRIPTOR.full_name,
)
def test_plain_fields_may_be_given_by_their_places(handler: MessageHandler) -> None:
    form = Form(handler)
    wanted = filled(handler.type.DESCRIPTOR)
    name_signer(form, wanted)
    values = [written(field.descriptor, wanted) for field in form.fields if field.is_plain]
    rest = {
        parameter(field): True if field.is_truth else written(field.descriptor, wanted)
        for field in form.fields
        if not field.is_plain
    }
    assert form.build(SENDER, values, rest, str)[0] == wanted
    if form.signer and values:
        assert form.build("", [SENDER, *values], rest, str)[0] == wanted


def test_names_are_those_that_users_of_cosmos_chains_know() -> None:
    named = modules()
    assert type_url(named["bank"]["send"].type) == "/cosmos.bank.v1beta1.MsgSend"
    assert type_url(named["inference"]["claim-rewards"].type) == "/inference.inference.MsgClaimRewards"
    assert {"grant", "exec", "revoke"} <= named["authz"].keys()
