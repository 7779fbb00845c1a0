"""Options that many commands share: dataclasses of options, which `spread` puts into a command's signature."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from pivot.cli.output import EXIT_USAGE, say
from pivot.primitives.numbers import MAX_INT64

DEFAULT_NODE = "http://127.0.0.1:26657"


def whole(value: int | None) -> int | None:
    """A number that fits where heights, sequences and counts stand in messages: 0 to 2⁶³ − 1. Raises typer.BadParameter."""
    if value is not None and not 0 <= value <= MAX_INT64:
        raise typer.BadParameter(f"a whole number from 0 to {MAX_INT64}, not {value}")
    return value


@dataclass(frozen=True)
class KeyFlags:
    """Which keyring."""

    keyring_backend: Annotated[
        str | None,
        typer.Option(help="Where secrets are kept: file, os or test.  [PIVOT_KEYRING_BACKEND; default: file]"),
    ] = None
    keyring_dir: Annotated[
        Path | None, typer.Option(help="Folder of the keyrings.  [PIVOT_KEYRING_DIR; default: PIVOT_HOME or ~/.pivot]")
    ] = None


@dataclass(frozen=True)
class NodeFlags:
    """Which chain."""

    node: Annotated[str, typer.Option(envvar="PIVOT_NODE", help="URL of a chain node's RPC.", show_envvar=False)] = (
        DEFAULT_NODE
    )


@dataclass(frozen=True)
class PageFlags:
    """Which part of a long list."""

    page_limit: Annotated[int, typer.Option(callback=whole, help="Entries of one page; 0: as the chain has it.")] = 0
    page_key: Annotated[str, typer.Option(help="Where the page begins: next_key of the one before.")] = ""
    page_offset: Annotated[int, typer.Option(callback=whole, help="Entries to pass over, in place of a key.")] = 0
    page_reverse: Annotated[bool, typer.Option("--page-reverse", help="From the end.")] = False
    count_total: Annotated[bool, typer.Option("--count-total", help="Count all entries, too.")] = False


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with each parameter of a dataclass of flags replaced by the options in it, behind its own."""
    hints = get_type_hints(function, include_extras=True)
    own: list[inspect.Parameter] = []
    shared: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            groups[parameter.name] = kind
            shared += options(kind)
        else:
            own.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def run(**given: Any) -> Any:
        for name, kind in groups.items():
            given[name] = packed(kind, given)
        return function(**given)

    return with_parameters(run, [*own, *shared])


def options(kind: Any) -> list[inspect.Parameter]:
    """The fields of a dataclass of flags as parameters."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]


def packed(kind: Any, given: dict[str, Any]) -> Any:
    """A dataclass of flags out of what was given; it takes its options out of `given`."""
    return kind(**{field.name: given.pop(field.name) for field in fields(kind)})


def with_parameters(run: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """Let a function that takes any keywords say which ones it takes."""
    marked: Any = run
    marked.__signature__ = inspect.Signature(parameters)
    marked.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    if hasattr(marked, "__wrapped__"):
        del marked.__wrapped__
    return run


def wrong_usage(sentence: str) -> typer.Exit:
    """What to raise when the options do not fit together; the sentence goes to stderr."""
    say(sentence)
    return typer.Exit(EXIT_USAGE)
