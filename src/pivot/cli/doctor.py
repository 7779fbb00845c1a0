"""`pivot doctor`: what is wrong with this host, and what to do about it."""

import asyncio
import os
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import ValidationError

from pivot.api.settings import ApiSettings, InvalidSettings
from pivot.cli.output import EXIT_FAILED, EXIT_USAGE, Json, print_json, say
from pivot.doctor import ml_server, network_node
from pivot.doctor.finding import Finding, State
from pivot.mlnode.settings import MlNodeSettings, sentences

COLOURS = {State.OK: typer.colors.GREEN, State.WARNING: typer.colors.YELLOW, State.WRONG: typer.colors.RED}
STATE_WIDTH = max(map(len, State))


def doctor(
    before_start: Annotated[
        bool, typer.Option("--before-start", help="Look at what can be known before the host is started.")
    ] = False,
    ml_node: Annotated[
        bool, typer.Option("--ml-node", help="This machine has an ML node, and no network node.")
    ] = False,
    model: Annotated[list[str] | None, typer.Option(help="With --ml-node: a model that it is to serve.")] = None,
    callback_url: Annotated[
        str,
        typer.Option(envvar="DAPI_API__POC_CALLBACK_URL", help="With --ml-node: the network node's call-back URL."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Look at this host: machine, ports, chain, ML nodes. One line each; exit code 1 if something is wrong.

    It reads the same variables as the API node, or the ML node. Nothing is changed.
    """
    findings = asyncio.run(
        _ml_server(before_start, model or [], callback_url) if ml_node else _network_node(before_start)
    )
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(_line(finding))
    count = sum(finding.state is State.WRONG for finding in findings)
    if count:
        say(f"{count} {'thing is' if count == 1 else 'things are'} wrong.")
        raise typer.Exit(EXIT_FAILED)


async def _network_node(before_start: bool) -> list[Finding]:
    try:
        settings = ApiSettings.load()
    except InvalidSettings as error:
        say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    return await network_node.examine(settings, os.environ, before_start=before_start)


async def _ml_server(before_start: bool, models: list[str], callback_url: str) -> list[Finding]:
    try:
        settings = MlNodeSettings()
    except ValidationError as error:
        say("\n".join(sentences(error)))
        raise typer.Exit(EXIT_USAGE) from error
    return await ml_server.examine(settings, os.environ, models, callback_url, before_start=before_start)


def _line(finding: Finding) -> str:
    state = typer.style(f"{finding.state:<{STATE_WIDTH}}", fg=COLOURS.get(finding.state))
    return f"{state}  {finding.check}: {finding.found}" + (f" → {finding.remedy}" if finding.remedy else "")
