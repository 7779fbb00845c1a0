"""`pivot keys api …`: API keys that a host issues to developers for whom its gateway account pays."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pivot.cli.admin_port import DEFAULT_URL, AdminPort, Ca, Certificate, Token, Url
from pivot.cli.output import Json, print_json, say
from pivot.primitives.coins import NGONKA_PER_GONKA

UNLIMITED = "unlimited"
_SPAN = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SHOWN_TIME = "%Y-%m-%d %H:%M"


app = typer.Typer(help="API keys of developers for whom the host's gateway account pays.", no_args_is_help=True)


def register(keys: typer.Typer) -> None:
    """Add the commands of this module."""
    keys.add_typer(app, name="api")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Your name for who gets the key.")],
    budget: Annotated[
        str, typer.Option(help=f"What may be spent with it: ngonka, or a number with gonka, or {UNLIMITED}.")
    ],
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a minute; without it no limit.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests at a time; without it no limit.")] = None,
    expires: Annotated[str, typer.Option(help="12h, 30d, 8w, or a date (UTC): 2030-01-31. Without it never.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Issue an API key. It is shown this once: the host keeps only its hash."""
    document: dict[str, Any] = {
        "name": name,
        "budget": _budget(budget),
        "rate": rate,
        "concurrency": concurrency,
        "expires_at": _expiry(expires, datetime.now(UTC)),
    }
    issued = AdminPort(url, token, certificate, ca).call("POST", "keys/api", document)
    if as_json:
        print_json(issued)
        return
    say(f"Issued {issued['id']} for {name}. Keep it now, it is shown this once:")
    typer.echo(issued["key"])


@app.command("list")
def list_keys(
    url: Url = DEFAULT_URL, token: Token = "", certificate: Certificate = None, ca: Ca = None, as_json: Json = False
) -> None:
    """Show all API keys with their terms and what they have used."""
    listed = AdminPort(url, token, certificate, ca).call("GET", "keys/api")
    if as_json:
        print_json(listed)
    elif listed:
        _print_table(listed)
    else:
        say("There are no API keys yet: `pivot keys api create NAME --budget …` issues one.")


@app.command("revoke")
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of API keys, as `list` shows them.")],
    url: Url = DEFAULT_URL,
    token: Token = "",
    certificate: Certificate = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Refuse API keys from now on. What they have under way is still answered."""
    port = AdminPort(url, token, certificate, ca)
    revoked = [port.call("DELETE", f"keys/api/{key_id}") for key_id in ids]
    if as_json:
        print_json(revoked)
    say(f"Revoked: {', '.join(ids)}.")


def _budget(text: str) -> int | None:
    """ngonka; None for no limit."""
    if text == UNLIMITED:
        return None
    number, scale = text.removesuffix("ngonka"), 1
    if not text.endswith("ngonka") and text.endswith("gonka"):
        number, scale = text.removesuffix("gonka"), NGONKA_PER_GONKA
    if not number.isascii() or not number.isdigit():
        raise typer.BadParameter(f"{text!r} is no amount, as 5000000, 5gonka or {UNLIMITED}", param_hint="--budget")
    return int(number) * scale


def _expiry(text: str, now: datetime) -> int | None:
    """Seconds since 1970; None for never."""
    if not text:
        return None
    if span := _SPAN.fullmatch(text):
        return int((now + int(span[1]) * _UNITS[span[2]]).timestamp())
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither 12h, 30d or 8w nor a date as 2030-01-31", param_hint="--expires"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _print_table(listed: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True)
    for heading in ("name", "spent", "budget", "requests", "limits", "until"):
        table.add_column(heading, overflow="fold")
    for key in listed:
        budget = UNLIMITED if key["budget"] is None else str(key["budget"])
        used = str(key["spent"]), budget, str(key["requests"])
        table.add_row(key["id"], key["name"], *used, _limits(key), _until(key))
    Console().print(table)


def _limits(key: dict[str, Any]) -> str:
    rate, concurrency = key["rate"], key["concurrency"]
    limits = (rate and f"{rate} a minute", concurrency and f"{concurrency} at a time")
    return ", ".join(limit for limit in limits if limit) or "-"


def _until(key: dict[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    if key["expires_at"] is None:
        return "-"
    return f"{datetime.fromtimestamp(key['expires_at'], UTC):{_SHOWN_TIME}}"
