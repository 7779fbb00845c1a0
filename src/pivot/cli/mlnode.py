"""`pivot mlnode …`: the ML node."""

import typer

from pivot.mlnode.__main__ import main

app = typer.Typer(help="The ML node, configured by MLNODE_… variables.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The ML node, configured by MLNODE_… variables."""


@app.command("run")
def run_node() -> None:
    """Run the ML node until SIGINT or SIGTERM."""
    raise typer.Exit(main())
