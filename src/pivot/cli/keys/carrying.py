"""Keys on their way: out of the keyring, and into it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pivot.cli.flags import KeyFlags, spread, wrong_usage
from pivot.cli.keyrings import ask_password, keyring, next_line
from pivot.cli.keys.showing import Name, print_key
from pivot.cli.output import CommandFailed, Json, print_json
from pivot.node.keyring import armor
from pivot.primitives.keys import PrivateKey

PASSWORD_OF_EXPORT = "Password of the exported key"  # noqa: S105
SECRET_HEX_DIGITS = 64


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("export")(spread(export_key))
    app.command("import")(spread(import_key))
    app.command("import-hex")(spread(import_hex))


def export_key(
    keys: KeyFlags,
    name: Name,
    unarmored_hex: Annotated[
        bool, typer.Option("--unarmored-hex", help="Print the bare secret in hex; needs --unsafe.")
    ] = False,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="I know that a bare secret can be read by anybody.")] = False,
    as_json: Json = False,
) -> None:
    """Print a key under a password of its own, in the armour that Cosmos SDK chains use."""
    if unarmored_hex != unsafe:
        raise wrong_usage("--unarmored-hex and --unsafe are given together or not at all")
    with keyring(keys) as ring:
        key = ring.secret(name)
    if unsafe:
        told = {"secret_hex": key.secret_hex}
    else:
        password = ask_password(PASSWORD_OF_EXPORT, new=True)
        told = {"armor": armor.seal(bytes.fromhex(key.secret_hex), password)}
    if as_json:
        print_json(told)
    else:
        typer.echo("\n".join(told.values()))


def import_key(
    keys: KeyFlags,
    name: Annotated[str, typer.Argument(help="Your name for the key.")],
    file: Annotated[Path, typer.Argument(help="An exported key.")],
    as_json: Json = False,
) -> None:
    """Keep a key that was exported here or from a Cosmos SDK chain's tool."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error
    with keyring(keys) as ring:
        secret = armor.unseal(text, ask_password(PASSWORD_OF_EXPORT, new=False))
        print_key(ring.add(name, PrivateKey(secret)), as_json=as_json)


def import_hex(
    keys: KeyFlags,
    name: Annotated[str, typer.Argument(help="Your name for the key.")],
    as_json: Json = False,
) -> None:
    """Keep a key given as 64 hex digits, which are asked for, so that they stand in no history of commands."""
    asked = "Secret in hex"
    text = ask_password(asked, new=False) if sys.stdin.isatty() else next_line(asked)
    wrong = CommandFailed(f"a secret is {SECRET_HEX_DIGITS} hex digits of a secp256k1 key")
    if len(text.strip()) != SECRET_HEX_DIGITS:
        raise wrong
    try:
        key = PrivateKey.from_hex(text.strip())
    except ValueError:
        raise wrong from None
    with keyring(keys) as ring:
        print_key(ring.add(name, key), as_json=as_json)
