"""`pivot query …`: what the chain answers, one command per query that it knows, and what its engine knows."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
import typer

from pivot.cli.modules import ModuleGroup
from pivot.cli.query import engine
from pivot.cli.query.generated import module_app, modules


class Queries(ModuleGroup):
    """The modules of the query table."""

    def found(self) -> Mapping[str, Callable[[], typer.Typer]]:
        return _groups()


@cache
def _groups() -> Mapping[str, Callable[[], typer.Typer]]:
    return {name: partial(module_app, name, nouns) for name, nouns in modules().items()}


app = typer.Typer(
    cls=Queries,
    help="Queries: transactions, blocks, and one group per module.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
engine.register(app)
