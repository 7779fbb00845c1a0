"""The command `pivot`: one module per group of commands."""

import sys

import typer

from pivot.cli import admin, api, devnet, doctor, mlnode, models, node
from pivot.cli.output import EXIT_FAILED, CommandFailed

app = typer.Typer(
    name="pivot",
    help="A decentralised network that serves large language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(devnet.app, name="devnet")
app.add_typer(node.app, name="node")
app.add_typer(api.app, name="api")
app.add_typer(mlnode.app, name="mlnode")
app.add_typer(admin.app, name="admin")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line. Data goes to stdout, messages to stderr; exit codes: 0 ok, 1 failed, 2 wrong usage."""
    try:
        app()
    except CommandFailed as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(EXIT_FAILED)
