"""One command per message of the chain's registry, made from the message's fields."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast

import typer
from cosmos.msg.v1 import msg_pb2
from google.protobuf.message import Message

from pivot.chain.errors import Rejection
from pivot.chain.handlers import MessageHandler
from pivot.chain.registry import MESSAGES
from pivot.cli.chain_port import ChainRefused
from pivot.cli.fields import Field, Resolve, fields_of
from pivot.cli.flags import KeyFlags, NodeFlags, options, packed, with_parameters, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.names import by_module, of_message
from pivot.cli.tx import warm_key
from pivot.cli.tx.draft import DraftFlags
from pivot.cli.tx.sending import SendFlags, SignerFlags, TxFlags, carry_out
from pivot.cli.tx.shapes import SHAPES, Shape
from pivot.protocol.messages import type_url

FLAGS = (DraftFlags, SignerFlags, SendFlags, KeyFlags, NodeFlags)
From = Annotated[str, typer.Option("--from", help="Who signs: name of a key, or its address.")]
ALIASES: Mapping[tuple[str, str], str] = {
    ("feegrant", "grant"): "grant-allowance",
    ("feegrant", "revoke"): "revoke-allowance",
    ("gov", "weighted-vote"): "vote-weighted",
}
"""Well-known verbs of messages that have others for names."""


@dataclass(frozen=True)
class Form:
    """How a message is given on the command line."""

    handler: MessageHandler

    @property
    def signer(self) -> str:
        """The field that `--from` fills; empty where signers stand deeper in the message."""
        names = list(self.handler.type.DESCRIPTOR.GetOptions().Extensions[cast(Any, msg_pb2.signer)])
        field = self.handler.type.DESCRIPTOR.fields_by_name[names[0]]
        return names[0] if field.message_type is None and not Field(field).is_list else ""

    @property
    def fields(self) -> list[Field]:
        return [field for field in fields_of(self.handler.type.DESCRIPTOR) if field.name != self.signer]

    @property
    def shape(self) -> Shape | None:
        return SHAPES.get(type_url(self.handler.type))

    def arguments(self) -> str:
        """What the arguments are, for the help."""
        if self.shape is not None:
            return self.shape.arguments
        return " ".join(field.words.replace("-", "_").upper() for field in self.fields if field.is_plain)

    def build(self, sender: str, values: list[str], given: Mapping[str, Any], resolve: Resolve) -> tuple[Message, str]:
        """The message, and who signs. `given`: parameters by name. Raises typer.BadParameter, typer.Exit."""
        message = self.handler.type()
        by_place = [field for field in self.fields if field.is_plain and not given.get(parameter(field))]
        if self.signer and len(values) == len(by_place) + 1 and not sender and self.shape is None:
            sender, *values = values
        if not sender:
            raise wrong_usage("--from is missing: the key that signs")
        address = resolve(sender)
        if self.signer:
            signer = Field(self.handler.type.DESCRIPTOR.fields_by_name[self.signer])
            setattr(message, self.signer, signer.account(address))
        if not self._shaped(message, address, values, given, resolve):
            if len(values) > len(by_place):
                raise wrong_usage(f"too many arguments: this takes {self.arguments() or 'none'}")
            if by_place and not values and len(by_place) == len([field for field in self.fields if field.is_plain]):
                raise wrong_usage(f"missing: {self.arguments()}")
            for field, text in zip(by_place, values, strict=False):
                field.put(message, text, resolve)
        self._put_options(message, given, resolve)
        return message, sender

    def _shaped(
        self, message: Message, address: str, values: list[str], given: Mapping[str, Any], resolve: Resolve
    ) -> bool:
        try:
            return self.shape is not None and self.shape.fill(message, address, values, given, resolve)
        except (ValueError, OSError) as error:
            raise wrong_usage(str(error)) from error

    def _put_options(self, message: Message, given: Mapping[str, Any], resolve: Resolve) -> None:
        for field in self.fields:
            value = given.get(parameter(field))
            if value is True:
                setattr(message, field.name, True)
            elif value:
                field.put(message, value, resolve)


def modules() -> Mapping[str, Mapping[str, MessageHandler]]:
    """Module to verb to handler, for every message of the registry."""
    return by_module((of_message(handler.type.DESCRIPTOR), handler) for handler in MESSAGES.all().values())


def module_app(name: str, verbs: Mapping[str, MessageHandler]) -> typer.Typer:
    """The commands of one module."""
    app = typer.Typer(help=f"Transactions of the module {name}.", no_args_is_help=True, rich_markup_mode=None)
    for verb, handler in verbs.items():
        app.command(verb, help=_help(handler))(command(handler))
    for (module, alias), verb in ALIASES.items():
        if module == name and verb in verbs and alias not in verbs:
            app.command(alias, help=_help(verbs[verb]))(command(verbs[verb]))
    if name == warm_key.MODULE:
        warm_key.register(app)
    return app


def command(handler: MessageHandler) -> Callable[..., None]:
    """The command of one message."""
    form = Form(handler)

    def run(**given: Any) -> None:
        draft, signer, send, keys, node = (packed(kind, given) for kind in FLAGS)
        with keyring(keys) as ring:
            message, sender = form.build(given.pop("sender"), given.pop("values") or [], given, ring.address)
        check(handler, message)
        carry_out([message], sender, TxFlags(draft, signer, send, keys, node))

    return with_parameters(run, [*_own(form), *(each for kind in FLAGS for each in options(kind))])


def check(handler: MessageHandler, message: Message) -> None:
    """The chain's own stateless check, here and now. Raises ChainRefused."""
    try:
        handler.check(message)
    except Rejection as refusal:
        raise ChainRefused(refusal.codespace, refusal.code, refusal.log) from refusal


def parameter(field: Field) -> str:
    """Name of the parameter that holds a field's option."""
    return f"field_{field.name}"


@cache
def _taken() -> frozenset[str]:
    """Names of options that no field may have."""
    own = {each.name.replace("_", "-") for kind in FLAGS for each in options(kind)}
    return frozenset(own | {"from", "help", "memo", "json"})


def option_name(field: Field, shape: Shape | None = None) -> str:
    """A field's option; where all commands have one of that name, it is `--message-…`."""
    shaped = {each.name.replace("_", "-") for each in shape.options} if shape else set()
    return f"--message-{field.words}" if field.words in _taken() | shaped else f"--{field.words}"


def _own(form: Form) -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    arguments = form.arguments()
    told = "Values in this order; each can be given by its option instead."
    values = Annotated[
        list[str] | None, typer.Argument(metavar=arguments or "NOTHING", help=told, hidden=not arguments)
    ]
    own = [
        inspect.Parameter("values", keyword, default=None, annotation=values),
        inspect.Parameter("sender", keyword, default="", annotation=From),
    ]
    for field in form.fields:
        name, hint = option_name(field, form.shape), field.help
        kind: Any = bool if field.is_truth else str
        option = typer.Option(name, help=hint, show_default=False)
        default = False if field.is_truth else ""
        own.append(inspect.Parameter(parameter(field), keyword, default=default, annotation=Annotated[kind, option]))
    return [*own, *(form.shape.options if form.shape else ())]


def _help(handler: MessageHandler) -> str:
    return f"{handler.type.DESCRIPTOR.name} of {handler.type.DESCRIPTOR.file.package}."
