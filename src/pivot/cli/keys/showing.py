"""Keys as they are shown: name, kind, address, public key; never a secret."""

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pivot.cli.flags import KeyFlags, spread, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.node.keyring.record import KeyRecord, public_key_document
from pivot.primitives import bech32
from pivot.primitives.addresses import ACCOUNT_PREFIX, CONSENSUS_PREFIX, OPERATOR_PREFIX

PREFIXES = {"acc": ACCOUNT_PREFIX, "val": OPERATOR_PREFIX, "cons": CONSENSUS_PREFIX}

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or address of a key.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(spread(list_keys))
    app.command("show")(spread(show_key))
    app.command("rename")(spread(rename_key))
    app.command("delete")(spread(delete_keys))
    app.command("parse")(parse_address)


def list_keys(keys: KeyFlags, as_json: Json = False) -> None:
    """Show all keys."""
    with keyring(keys) as ring:
        found = list(ring.records())
    if as_json:
        print_json([described(record) for record in found])
    elif found:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("name", "kind", "address"):
            table.add_column(heading, overflow="fold")
        for record in found:
            table.add_row(record.name, record.kind, record.address)
        Console().print(table)
    else:
        say(f"There are no keys in {ring.folder}: `pivot keys add NAME` makes one.")


def show_key(
    keys: KeyFlags,
    name: Name,
    address: Annotated[bool, typer.Option("--address", "-a", help="Print the address alone.")] = False,
    public_key: Annotated[bool, typer.Option("--pubkey", "-p", help="Print the public key alone, as JSON.")] = False,
    bech: Annotated[str, typer.Option(help="Form of the address: acc (account) or val (operator).")] = "acc",
    as_json: Json = False,
) -> None:
    """Show one key."""
    if bech not in {"acc", "val"}:
        raise wrong_usage(f"--bech: acc or val, not {bech!r}")
    with keyring(keys) as ring:
        record = ring.find(name)
    if public_key:
        print_json(public_key_document(record.public_key))
    elif address:
        typer.echo(_under(record.address, PREFIXES[bech]))
    else:
        print_key(record, as_json=as_json, prefix=PREFIXES[bech])


def rename_key(
    keys: KeyFlags,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="The new name.")],
    as_json: Json = False,
) -> None:
    """Call a key by another name."""
    with keyring(keys) as ring:
        record = ring.rename(name, new_name)
    if as_json:
        print_json(described(record))
    else:
        say(f"{name} is now called {record.name}.")


def delete_keys(
    keys: KeyFlags,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or addresses of keys.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget keys. A key without a mnemonic or an export elsewhere is lost, and its coins with it."""
    with keyring(keys) as ring:
        found = [ring.find(name) for name in names]
        if not yes:
            listed = ", ".join(record.name for record in found)
            typer.confirm(f"Delete {listed} for good?", abort=True, err=True)
        for record in found:
            ring.delete(record.name)
    if as_json:
        print_json([described(record) for record in found])
    else:
        say(f"Deleted: {', '.join(record.name for record in found)}.")


def parse_address(
    text: Annotated[str, typer.Argument(metavar="ADDRESS", help="An address in bech32, or its bytes in hex.")],
    as_json: Json = False,
) -> None:
    """Show an address in all its forms."""
    raw = _address_bytes(text)
    forms = {"bytes": raw.hex().upper(), **{name: bech32.encode(prefix, raw) for name, prefix in PREFIXES.items()}}
    if as_json:
        print_json(forms)
        return
    for name, form in forms.items():
        typer.echo(f"{name}: {form}")


def described(record: KeyRecord, prefix: str = ACCOUNT_PREFIX) -> dict[str, Any]:
    """A key for `--json`, without its secret."""
    return {
        "name": record.name,
        "type": record.kind,
        "address": _under(record.address, prefix),
        "pubkey": public_key_document(record.public_key),
    }


def print_key(record: KeyRecord, *, as_json: bool, prefix: str = ACCOUNT_PREFIX) -> None:
    """A key on stdout."""
    document = described(record, prefix)
    if as_json:
        print_json(document)
        return
    key = document.pop("pubkey")
    for name, value in document.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"pubkey: {key.get('key') or json.dumps(key)}")


def _under(address: str, prefix: str) -> str:
    return bech32.encode(prefix, bech32.decode(address, ACCOUNT_PREFIX))


def _address_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return bech32.decode(text, text.rpartition("1")[0])
    except bech32.InvalidBech32 as error:
        raise CommandFailed(str(error)) from error
