"""Write docs/cli.md from the commands' own help: `python docs/cli_reference.py`. A test fails when the page is out of date."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from pivot.cli import app

PAGE = Path(__file__).parent / "cli.md"
HEADER = """# The command `pivot`

Made by `python docs/cli_reference.py` from the commands' own help; do not edit it by hand.

Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 wrong usage.
"""
WIDTH = 100


def reference() -> str:
    """The whole page."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"})
    parts = [HEADER]
    for command in commands(app, ()):
        told = runner.invoke(app, [*command, "--help"], prog_name="pivot")
        text = "\n".join(line.rstrip() for line in told.stdout.strip().splitlines())
        parts.append(f"## {' '.join(('pivot', *command))}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


def commands(group: typer.Typer, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of a group, of its commands, and of the groups below, in the order in which they were added."""
    yield path
    for command in group.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        yield (*path, name.replace("_", "-"))
    for below in group.registered_groups:
        if below.typer_instance is not None:
            yield from commands(below.typer_instance, (*path, str(below.name)))


if __name__ == "__main__":
    PAGE.write_text(reference())
