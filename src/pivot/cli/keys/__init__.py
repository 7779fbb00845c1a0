"""`pivot keys …`: account keys of this person, by name."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
import typer

from pivot.cli.keys import adding, carrying, showing

app = typer.Typer(help="Account keys: make, keep, show and move them.", no_args_is_help=True)

for module in (adding, showing, carrying):
    module.register(app)
