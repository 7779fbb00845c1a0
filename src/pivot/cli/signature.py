"""`pivot signature …`: a developer's signature over a request, made, checked, and sent along (docs/protocol/signatures.md)."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pivot.cli.flags import KeyFlags, spread, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.output import EXIT_FAILED, CommandFailed, Json, print_json, say
from pivot.cli.web import Unanswered, exchange
from pivot.primitives.keys import InvalidSignature, decode_signature, recover
from pivot.protocol.signing import body_hash, developer_sign_bytes

GENERATION_SECONDS = 600
STANDARD_INPUT = Path("-")

app = typer.Typer(help="A developer's signature over a request.", no_args_is_help=True)

Text = Annotated[str, typer.Argument(metavar="BODY", help="The request's body, to the last byte; or --file.")]
File = Annotated[Path | None, typer.Option("--file", help="File with the body; - for standard input.")]
Account = Annotated[str, typer.Option("--account-address", help="Who signs: address, or name of a key.")]
Endpoint = Annotated[str, typer.Option("--endpoint-account", help="Address of the host that is asked.")]


@app.command("create")
@spread
def create(
    account: Account,
    endpoint: Endpoint,
    keys: KeyFlags,
    text: Text = "",
    file: File = None,
    timestamp: Annotated[int, typer.Option(help="Unix time in nanoseconds; 0: now.")] = 0,
    as_json: Json = False,
) -> None:
    """Sign a body for one host."""
    stamp = timestamp or time.time_ns()
    with keyring(keys) as ring:
        key = ring.secret(account)
        signature = key.sign_base64(developer_sign_bytes(body_hash(_body(text, file)), stamp, ring.address(endpoint)))
    if as_json:
        print_json({"address": key.address, "timestamp": stamp, "signature": signature})
        return
    typer.echo(f"signature: {signature}")
    typer.echo(f"timestamp: {stamp}")


@app.command("verify")
@spread
def check(
    account: Account,
    endpoint: Endpoint,
    keys: KeyFlags,
    signature: Annotated[str, typer.Option(help="base64 of 64 bytes.")],
    timestamp: Annotated[int, typer.Option(help="Unix time in nanoseconds, as it was signed.")],
    text: Text = "",
    file: File = None,
    as_json: Json = False,
) -> None:
    """Check a signature over a body. Exit code 1 if it is not good."""
    with keyring(keys) as ring:
        address = ring.address(account)
        signed = developer_sign_bytes(body_hash(_body(text, file)), timestamp, ring.address(endpoint))
    try:
        recover(address, signed, decode_signature(signature))
        why = ""
    except InvalidSignature as error:
        why = str(error)
    if as_json:
        print_json({"good": not why})
    say(why or f"The signature is good: {address} has made it.")
    if why:
        raise typer.Exit(EXIT_FAILED)


@app.command("send-request")
@spread
def send_request(
    account: Account,
    keys: KeyFlags,
    node: Annotated[str, typer.Option("--node-address", help="Public URL of a host's API node.")],
    text: Text = "",
    file: File = None,
) -> None:
    """Send a signed body to `/v1/chat/completions` of a host, and print its answer."""
    base, body, stamp = node.rstrip("/"), _body(text, file), time.time_ns()
    host = _identity(base)
    with keyring(keys) as ring:
        key = ring.secret(account)
    headers = {
        "Authorization": key.sign_base64(developer_sign_bytes(body_hash(body), stamp, host)),
        "X-Requester-Address": key.address,
        "X-Timestamp": str(stamp),
    }
    try:
        status, answer = exchange(f"{base}/v1/chat/completions", "POST", body, headers, GENERATION_SECONDS)
    except Unanswered as error:
        raise CommandFailed(f"the host at {base} does not answer: {error}") from error
    typer.echo(answer.decode(errors="replace"))
    if status >= 400:
        raise CommandFailed(f"the host answered {status}")


def _identity(base: str) -> str:
    """The address of the host behind a URL."""
    try:
        status, answer = exchange(f"{base}/v1/identity")
        document: Any = json.loads(answer)
        return str(document["data"]["address"])
    except Unanswered as error:
        raise CommandFailed(f"the host at {base} does not answer: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandFailed(f"what answers at {base} is no API node ({status})") from error


def _body(text: str, file: Path | None) -> bytes:
    if bool(text) == (file is not None):
        raise wrong_usage("give a BODY or --file, one of them")
    if file is None:
        return text.encode()
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error
