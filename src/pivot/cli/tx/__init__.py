"""`pivot tx …`: transactions, one command per message that the chain understands."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
import typer

from pivot.cli.modules import ModuleGroup
from pivot.cli.tx import files
from pivot.cli.tx.generated import module_app, modules


class Transactions(ModuleGroup):
    """The modules of the message table."""

    def found(self) -> Mapping[str, Callable[[], typer.Typer]]:
        return _groups()


@cache
def _groups() -> Mapping[str, Callable[[], typer.Typer]]:
    return {name: partial(module_app, name, verbs) for name, verbs in modules().items()}


app = typer.Typer(
    cls=Transactions,
    help="Transactions: sign, send, and one group per module.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
files.register(app)
