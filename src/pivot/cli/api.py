"""`pivot api …`: the API node."""

import typer

from pivot.api.__main__ import main

app = typer.Typer(help="The API node, configured by API_CONFIG_PATH and DAPI_… variables.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The API node, configured by API_CONFIG_PATH and DAPI_… variables."""


@app.command("run")
def run_node() -> None:
    """Run the API node until SIGINT or SIGTERM."""
    raise typer.Exit(main())
