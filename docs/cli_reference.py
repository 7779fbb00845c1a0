"""Write docs/cli.md from the commands' own help: `python docs/cli_reference.py`. A test fails when the page is out of date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from pivot.cli import app
from pivot.cli.modules import MODULES, ModuleGroup

PAGE = Path(__file__).parent / "cli.md"
HEADER = """# The command `pivot`

Made by `python docs/cli_reference.py` from the commands' own help; do not edit it by hand.

Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 wrong usage.

`pivot tx` and `pivot query` have one group per module of the chain, with one command per message and query, which follow from the
chain's registry; `pivot tx MODULE --help` lists them. `pivot tx bank send` and `pivot query bank balances` stand here for all.
`pivot --install-completion` teaches the shell to complete all of these.
"""
WIDTH = 100
EXAMPLES = {"tx": ("bank", "send"), "query": ("bank", "balances")}
"""Commands that stand for all that are made from the chain's registry."""


def reference() -> str:
    """The whole page."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"})
    parts = [HEADER]
    for command in commands(typer.main.get_command(app), ()):
        told = runner.invoke(app, [*command, "--help"], prog_name="pivot")
        text = "\n".join(line.rstrip() for line in told.stdout.strip().splitlines()).partition(f"\n\n{MODULES}:\n")[0]
        parts.append(f"## {' '.join(('pivot', *command))}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of a command, and of those below it, in the order in which they were added."""
    yield path
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        made = isinstance(command, ModuleGroup)
        for name in command.commands if made else command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))
        if made:
            yield (*path, *EXAMPLES[path[-1]])


if __name__ == "__main__":
    PAGE.write_text(reference())
