"""The command `pivot`: one module per group of commands, loaded when one of its commands is asked for."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from pivot.cli.output import EXIT_FAILED, CommandFailed

COMMANDS: Mapping[str, str] = {
    "devnet": "A whole network on one machine.",
    "node": "Consensus engine, application and query gateway of a network node.",
    "api": "The API node, configured by API_CONFIG_PATH and DAPI_… variables.",
    "mlnode": "The ML node, configured by MLNODE_… variables.",
    "admin": "The host's own hand on its API node.",
    "models": "Model weights on this machine.",
    "keys": "Account keys: make, keep, show and move them.",
    "tx": "Transactions: sign, send, and one group per module.",
    "query": "Queries: transactions, blocks, and one group per module.",
    "participants": "Become known to a network through one of its hosts.",
    "signature": "A developer's signature over a request.",
    "genesis": "The ceremony in which the first hosts agree on a network's first state.",
    "doctor": "Look at this host: machine, ports, chain, ML nodes.",
}
"""Name of the module in this package to what `pivot --help` says of it, so that no module is loaded to say so."""


class Commands(TyperGroup):
    """The modules of COMMANDS. Loading all of them would load the chain, the API node and the ML node for every command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names: Any = dict.fromkeys(COMMANDS)
        self.commands = names  # `get_command` loads what they stand for

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, None for an unknown one."""
        return load(cmd_name) if cmd_name in COMMANDS else super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  the base class passes it
        """List all commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def load(name: str) -> Any:
    """The command of a module: its `app`, a group, or else its function of the same name."""
    module = importlib.import_module(f"pivot.cli.{name}")
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name)(getattr(module, name))
    return typer.main.get_group(holder).commands[name]


app = typer.Typer(
    name="pivot",
    cls=Commands,
    help="A decentralised network that serves large language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def pivot() -> None:
    """A decentralised network that serves large language models."""


def main() -> None:
    """Run the command line. Data goes to stdout, messages to stderr; exit codes: 0 ok, 1 failed, 2 wrong usage."""
    try:
        app(prog_name="pivot")
    except CommandFailed as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(EXIT_FAILED)
