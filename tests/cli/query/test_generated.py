"""Every query of the registry has a command, and what the command builds is the request."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from pivot.chain.handlers import QueryHandler
from pivot.chain.registry import QUERIES
from pivot.cli import load
from pivot.cli.query.generated import Form, modules, parameter
from tests.cli.tx.test_generated import filled, written

HANDLERS = list(QUERIES.all().values())


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.path)
def test_every_query_has_a_command_that_builds_its_request(handler: QueryHandler) -> None:
    [(module, noun)] = [(m, n) for m, nouns in modules().items() for n, found in nouns.items() if found is handler]
    group: Any = load("query").get_command(typer.Context(load("query")), module)
    assert noun in group.commands
    form = Form(handler)
    wanted = filled(handler.request.DESCRIPTOR)
    if form.page:
        wanted.ClearField(form.page)
    values = [written(field.descriptor, wanted) for field in form.fields if field.is_plain]
    rest: dict[str, Any] = {
        parameter(field): True if field.is_truth else written(field.descriptor, wanted)
        for field in form.fields
        if not field.is_plain
    }
    assert form.build(values, rest, str) == wanted
    by_name = {parameter(field): written(field.descriptor, wanted) for field in form.fields if field.is_plain} | rest
    assert form.build([], by_name, str) == wanted
    assert ("--page-limit" in {opt for each in group.commands[noun].params for opt in each.opts}) == bool(form.page)


def test_nouns_are_those_of_the_published_methods() -> None:
    named = modules()
    assert named["inference"]["participant"].method.name == "Participant"
    assert named["inference"]["current-epoch"].method.name == "GetCurrentEpoch"
    assert named["bank"]["all-balances"].method.name == "AllBalances"
    assert {"balances", "get-current-epoch", "plan", "applied"} <= {
        name
        for module in ("bank", "inference", "upgrade")
        for name in load("query").get_command(typer.Context(load("query")), module).commands
    }
