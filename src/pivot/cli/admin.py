"""`pivot admin …`: the host's own hand on its API node, as the Admin API has it."""

import json
import shlex
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pivot.cli.admin_port import DEFAULT_URL, AdminPort, Ca, Certificate, Token, Url, node_path, refusal
from pivot.cli.output import CommandFailed, Json, print_json, say

DEFAULT_INFERENCE_PORT = 5000
DEFAULT_POC_PORT = 8000
DEFAULT_MAX_CONCURRENT = 500
STANDARD_INPUT = Path("-")

app = typer.Typer(help="The host's own hand on its API node.", no_args_is_help=True)
nodes = typer.Typer(help="The ML nodes of the host.", no_args_is_help=True)
app.add_typer(nodes, name="nodes")
claims = typer.Typer(help="The host's claims on its rewards.", no_args_is_help=True)
app.add_typer(claims, name="claim-reward")

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of ML nodes.")]


@nodes.command("list")
def list_nodes(
    url: Url = DEFAULT_URL, token: Token = "", certificate: Certificate = None, ca: Ca = None, as_json: Json = False
) -> None:
    """Show all ML nodes: what each does, what it should do, and why the two differ."""
    listed = AdminPort(url, token, certificate, ca).call("GET", "nodes")
    if as_json:
        print_json(listed)
    elif listed:
        _print_table(listed)
    else:
        say("There are no ML nodes yet: `pivot admin nodes add` adds one.")


@nodes.command("add")
def add_node(
    node_id: Annotated[str | None, typer.Argument(metavar="ID", help="Your name for the node.")] = None,
    host: Annotated[str, typer.Option(help="Name, address or URL at which the network node reaches it.")] = "",
    model: Annotated[str, typer.Option(help="Model that it serves.")] = "",
    model_args: Annotated[
        str, typer.Option("--model-args", help='Own arguments of the engine, in one text: "--quantization fp8".')
    ] = "",
    inference_port: Annotated[int, typer.Option(help="Port of its answers.")] = DEFAULT_INFERENCE_PORT,
    poc_port: Annotated[int, typer.Option(help="Port of its management.")] = DEFAULT_POC_PORT,
    inference_segment: Annotated[str, typer.Option(help="Path before those of the inference port.")] = "",
    poc_segment: Annotated[str, typer.Option(help="Path before those of the management port.")] = "",
    max_concurrent: Annotated[int, typer.Option(help="Requests that it answers at a time.")] = DEFAULT_MAX_CONCURRENT,
    node_token: Annotated[
        str | None, typer.Option("--node-token", envvar="MLNODE_TOKEN", help="Bearer token of its management port.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A node, or a list of nodes such as node-config.json; - for standard input."),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Add an ML node, or replace the one of the same id; or all of a file."""
    if file is not None:
        _add_file(AdminPort(url, token, certificate, ca), file, as_json=as_json)
        return
    if not node_id or not host:
        raise typer.BadParameter("give an ID and --host, or --file", param_hint="ID")
    try:
        arguments = shlex.split(model_args)
    except ValueError as error:
        raise typer.BadParameter(f"{error} in {model_args!r}", param_hint="--model-args") from error
    document: dict[str, Any] = {
        "id": node_id,
        "host": host,
        "inference_segment": inference_segment,
        "inference_port": inference_port,
        "poc_segment": poc_segment,
        "poc_port": poc_port,
        "max_concurrent": max_concurrent,
        "models": {model: {"args": arguments}} if model else {},
    }
    if node_token is not None:
        document["auth_token"] = node_token
    _add_one(AdminPort(url, token, certificate, ca), document, as_json=as_json)


@nodes.command("remove")
def remove_nodes(
    ids: Ids,
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Take ML nodes away. Each ends the answers that it is giving."""
    port = AdminPort(url, token, certificate, ca)
    removed = {node_id: bool(port.call("DELETE", node_path(node_id))) for node_id in ids}
    if as_json:
        print_json(removed)
    unknown = [node_id for node_id, done in removed.items() if not done]
    if unknown:
        raise CommandFailed(f"there is no ML node {', '.join(unknown)}")
    say(f"Removed: {', '.join(ids)}.")


@nodes.command("enable")
def enable_nodes(
    ids: Ids,
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Let ML nodes work again: at once, or after the proof of compute that is under way."""
    _switch(AdminPort(url, token, certificate, ca), ids, "enable", as_json=as_json)
    say(f"Enabled: {', '.join(ids)}.")


@nodes.command("disable")
def disable_nodes(
    ids: Ids,
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Let ML nodes rest from the next proof of compute on; they keep their duties until the epoch ends."""
    _switch(AdminPort(url, token, certificate, ca), ids, "disable", as_json=as_json)
    say(f"Disabled: {', '.join(ids)}. They keep their duties until the epoch ends.")


@claims.command("recover")
def recover_claim(
    epoch: Annotated[int | None, typer.Option(help="The epoch that ended last, if you want to be sure.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when checks of answers are missing.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Claim the rewards of the epoch that ended last now. The API node does it by itself, when its checks are done."""
    document = {"force_claim": force} | ({} if epoch is None else {"epoch_index": epoch})
    done = AdminPort(url, token, certificate, ca).call("POST", "claim-reward/recover", document)
    if as_json:
        print_json(done)
    if not done["success"]:
        raise CommandFailed(f"Epoch {done['epoch_index']}: {done['message']}.")
    if not as_json:
        say(f"Epoch {done['epoch_index']}: {done['message']}.")


def _add_one(port: AdminPort, document: dict[str, Any], *, as_json: bool) -> None:
    added = port.call("POST", "nodes", document)
    if as_json:
        print_json(added)
    say(f"Added: {added['id']}. It earns weight from the next proof of compute on.")


def _add_file(port: AdminPort, file: Path, *, as_json: bool) -> None:
    try:
        document = json.loads(sys.stdin.read() if file == STANDARD_INPUT else file.read_text())
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{file} cannot be read as JSON: {error}") from error
    if isinstance(document, dict):
        _add_one(port, document, as_json=as_json)
        return
    status, answer = port.ask("POST", "nodes/batch", document)
    all_taken = status == HTTPStatus.CREATED
    if not all_taken and not (isinstance(answer, dict) and "errors" in answer):
        raise CommandFailed(refusal(status, answer))
    if as_json:
        print_json(answer)
    taken = [node["id"] for node in (answer if all_taken else answer["nodes"])]
    if taken:
        say(f"Added: {', '.join(taken)}.")
    if not all_taken:
        raise CommandFailed("\n".join(f"not added: {each['id']}: {each['error']}" for each in answer["errors"]))


def _switch(port: AdminPort, ids: list[str], action: str, *, as_json: bool) -> None:
    told = [port.call("POST", node_path(node_id, action)) for node_id in ids]
    if as_json:
        print_json(told)


def _print_table(listed: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("node", "address", "models", "does", "busy", "weight", "remark"):
        table.add_column(heading, overflow="fold")
    for item in listed:
        node, state = item["node"], item["state"]
        table.add_row(
            node["id"],
            f"{node['host']}:{node['poc_port']}",
            "\n".join(node["models"]),
            _status(state, "current_status", "poc_current_status"),
            f"{state['lock_count']}/{node['max_concurrent']}",
            str(sum(int(given.get("poc_weight", 0)) for given in state["epoch_ml_nodes"].values())),
            _remark(state),
        )
    Console().print(table)


def _status(state: dict[str, Any], status: str, poc_status: str) -> str:
    return f"{state[status]} {state[poc_status]}" if state[poc_status] != "IDLE" else str(state[status])


def _progress(starting: dict[str, Any] | None) -> str:
    """How far the start of an engine has come."""
    return f"{starting['stage'] or starting['state']}, {starting['progress']:.0%}" if starting else ""


def _remark(state: dict[str, Any]) -> str:
    should = _status(state, "intended_status", "poc_intended_status")
    remarks = (
        "" if state["admin_state"]["enabled"] else f"disabled in epoch {state['admin_state']['epoch']}",
        "" if should in {_status(state, "current_status", "poc_current_status"), "UNKNOWN"} else f"should be {should}",
        state["failure_reason"],
        *state["warnings"],
        _progress(state.get("inference")),
    )
    return "; ".join(remark for remark in remarks if remark)
