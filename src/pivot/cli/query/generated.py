"""One command per query of the chain's registry, made from the fields of its request."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from google.protobuf.message import Message

from pivot.chain.handlers import QueryHandler
from pivot.chain.registry import QUERIES
from pivot.cli.chain_port import ChainPort
from pivot.cli.fields import Field, Resolve, fields_of
from pivot.cli.flags import KeyFlags, NodeFlags, PageFlags, options, packed, whole, with_parameters, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.names import by_module, kebab, of_query
from pivot.cli.tx.draft import document
from pivot.cli.tx.sending import tell

PAGE = PageRequest.DESCRIPTOR.full_name
ALIASES: Mapping[tuple[str, str], str] = {
    ("bank", "balances"): "all-balances",
    ("bank", "total"): "total-supply",
    ("inference", "list-participant"): "participant-all",
    ("inference", "show-participant"): "participant",
    ("inference", "list-inference"): "inference-all",
    ("inference", "show-inference"): "inference",
    ("gov", "tally"): "tally-result",
    ("upgrade", "plan"): "current-plan",
    ("upgrade", "applied"): "applied-plan",
}
"""Well-known nouns of queries that have others for names."""
DEFAULTS: Mapping[tuple[str, str], Mapping[str, str]] = {("bank", "balance"): {"denom": "ngonka"}}
"""What a request says where nothing is given."""


@dataclass(frozen=True)
class QueryFlags:
    """What all queries take."""

    height: Annotated[int, typer.Option(callback=whole, help="Block whose state is asked for; 0: the last.")] = 0
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False


FLAGS = (QueryFlags, KeyFlags, NodeFlags)


@dataclass(frozen=True)
class Form:
    """How a query is asked on the command line."""

    handler: QueryHandler

    @property
    def fields(self) -> list[Field]:
        return [field for field in fields_of(self.handler.request.DESCRIPTOR) if not self._is_page(field)]

    @property
    def page(self) -> str:
        """The field that holds the page; empty if the answer has none."""
        fields = fields_of(self.handler.request.DESCRIPTOR)
        return next((field.name for field in fields if self._is_page(field)), "")

    def arguments(self) -> str:
        """What the arguments are, for the help."""
        return " ".join(field.words.replace("-", "_").upper() for field in self.fields if field.is_plain)

    def build(self, values: list[str], given: Mapping[str, Any], resolve: Resolve) -> Message:
        """The request. Raises typer.BadParameter, typer.Exit."""
        request = self.handler.request()
        name = of_query(self.handler.method)
        by_place = [field for field in self.fields if field.is_plain and not given.get(parameter(field))]
        if len(values) > len(by_place):
            raise wrong_usage(f"too many arguments: this takes {self.arguments() or 'none'}")
        for field, text in zip(by_place, values, strict=False):
            field.put(request, text, resolve)
        for field in by_place[len(values) :]:
            if text := DEFAULTS.get((name.module, name.plain), {}).get(field.name, ""):
                field.put(request, text, resolve)
        for field in self.fields:
            value = given.get(parameter(field))
            if value is True:
                setattr(request, field.name, True)
            elif value:
                field.put(request, value, resolve)
        return request

    @staticmethod
    def _is_page(field: Field) -> bool:
        kind = field.descriptor.message_type
        return kind is not None and kind.full_name == PAGE


def modules() -> Mapping[str, Mapping[str, QueryHandler]]:
    """Module to noun to handler, for every query of the registry."""
    return by_module((of_query(handler.method), handler) for handler in QUERIES.all().values())


def module_app(name: str, nouns: Mapping[str, QueryHandler]) -> typer.Typer:
    """The commands of one module."""
    app = typer.Typer(help=f"Queries of the module {name}.", no_args_is_help=True, rich_markup_mode=None)
    for noun, handler in nouns.items():
        app.command(noun, help=_help(handler))(command(handler))
        whole = kebab(handler.method.name)
        if whole not in nouns:
            app.command(whole, hidden=True)(command(handler))
    for (module, alias), noun in ALIASES.items():
        if module == name and noun in nouns and alias not in nouns:
            app.command(alias, help=_help(nouns[noun]))(command(nouns[noun]))
    return app


def command(handler: QueryHandler) -> Callable[..., None]:
    """The command of one query."""
    form = Form(handler)
    kinds = (*FLAGS, PageFlags) if form.page else FLAGS

    def run(**given: Any) -> None:
        flags, keys, node, *page = (packed(kind, given) for kind in kinds)
        with keyring(keys) as ring:
            request = form.build(given.pop("values") or [], given, ring.address)
        if page:
            _set_page(getattr(request, form.page), page[0])
        raw = ChainPort(node.node).query(handler.path, request, flags.height)
        tell(document(handler.response.FromString(raw)), as_json=flags.as_json)

    return with_parameters(run, [*_own(form), *(each for kind in kinds for each in options(kind))])


def parameter(field: Field) -> str:
    """Name of the parameter that holds a field's option."""
    return f"field_{field.name}"


def _set_page(page: Any, flags: PageFlags) -> None:
    wanted = PageRequest(
        limit=flags.page_limit, offset=flags.page_offset, count_total=flags.count_total, reverse=flags.page_reverse
    )
    page.CopyFrom(wanted)
    if flags.page_key:
        _PAGE_KEY.put(page, flags.page_key, lambda text: text)


def _own(form: Form) -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    arguments = form.arguments()
    told = "Values in this order; each can be given by its option instead."
    values = Annotated[
        list[str] | None, typer.Argument(metavar=arguments or "NOTHING", help=told, hidden=not arguments)
    ]
    own = [inspect.Parameter("values", keyword, default=None, annotation=values)]
    taken = {each.name.replace("_", "-") for kind in (*FLAGS, PageFlags) for each in options(kind)} | {"json", "help"}
    for field in form.fields:
        name = f"--request-{field.words}" if field.words in taken else f"--{field.words}"
        kind: Any = bool if field.is_truth else str
        default = False if field.is_truth else ""
        option = typer.Option(name, help=field.help, show_default=False)
        own.append(inspect.Parameter(parameter(field), keyword, default=default, annotation=Annotated[kind, option]))
    return own


def _help(handler: QueryHandler) -> str:
    return f"{handler.method.name} of {handler.method.containing_service.file.package}."


_PAGE_KEY = Field(PageRequest.DESCRIPTOR.fields_by_name["key"])
