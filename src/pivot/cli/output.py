"""How every command speaks: data on stdout, messages on stderr, distinct exit codes."""

import json
from typing import Annotated, Any

import typer

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


class CommandFailed(Exception):
    """The command was understood and could not be carried out; the sentence says why."""


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, default=str))


def say(line: str) -> None:
    """A message for a person, on stderr."""
    typer.echo(line, err=True)
