"""`pivot keys …`: account keys of this person, by name; API keys of a host."""

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
import typer

from pivot.cli.keys import adding, carrying, issued, showing

app = typer.Typer(help="Account keys: make, keep, show and move them.", no_args_is_help=True)

for module in (adding, showing, carrying, issued):
    module.register(app)
