"""New keys: from fresh words, from known words, or only in name (somebody else's, or of several)."""

import base64
import binascii
import json
import secrets
import sys
from typing import Annotated, Any

import typer
from cosmos.crypto.secp256k1.keys_pb2 import PubKey

from pivot.cli.flags import KeyFlags, spread, wrong_usage
from pivot.cli.keyrings import ask_password, keyring, next_line
from pivot.cli.keys.showing import described, print_key
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.node.keyring.keyring import Keyring
from pivot.node.keyring.record import KeyRecord, PublicKey, parse_public_key, single
from pivot.primitives.addresses import to_bytes
from pivot.primitives.keys import COIN_TYPE, PrivateKey
from pivot.primitives.mnemonics import DEFAULT_WORDS, ENTROPY_BYTES_OF_WORDS, InvalidMnemonic, check_phrase, phrase
from pivot.protocol.multisig import InvalidMultisig, threshold_key

Words = Annotated[int, typer.Option(help="Words of the mnemonic: 12, 15, 18, 21 or 24.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("add")(spread(add_key))
    app.command("mnemonic")(make_mnemonic)


def add_key(
    keys: KeyFlags,
    name: Annotated[str, typer.Argument(help="Your name for the key.")],
    recover: Annotated[bool, typer.Option("--recover", help="Take the key of a mnemonic, which is asked for.")] = False,
    account: Annotated[int, typer.Option(min=0, help="Account number of the HD path.")] = 0,
    index: Annotated[int, typer.Option(min=0, help="Address index of the HD path.")] = 0,
    hd_path: Annotated[str, typer.Option(help=f"Whole HD path, in place of m/44'/{COIN_TYPE}'/account'/0/index.")] = "",
    words: Words = DEFAULT_WORDS,
    public_key: Annotated[
        str,
        typer.Option("--pubkey", help="Keep this public key (base64, or its JSON), of which there is no secret here."),
    ] = "",
    multisig: Annotated[
        str, typer.Option(help="Keep the account that these keys (names, separated by commas) hold together.")
    ] = "",
    multisig_threshold: Annotated[int, typer.Option(min=1, help="How many of them must sign.")] = 1,
    no_sort: Annotated[
        bool, typer.Option("--nosort", help="Keep the order of --multisig, which decides the address.")
    ] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Do not show the new mnemonic.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made, and keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key and keep it; its mnemonic is shown once, here.

    With --recover the key of a mnemonic is kept, with --pubkey or --multisig only a public key.
    """
    if sum(bool(given) for given in (recover, public_key, multisig)) > 1:
        raise wrong_usage("--recover, --pubkey and --multisig exclude each other")
    with keyring(keys) as ring:
        if public_key or multisig:
            made = _given(public_key) if public_key else _together(ring, multisig, multisig_threshold, sort=not no_sort)
            record = KeyRecord(name, made) if dry_run else ring.add_public(name, made)
            print_key(record, as_json=as_json)
            return
        told = _recovered() if recover else fresh(words)
        key = _derived(told, hd_path or f"m/44'/{COIN_TYPE}'/{account}'/0/{index}")
        record = KeyRecord(name, single(key.public_key), "-") if dry_run else ring.add(name, key)
    _print_new(record, "" if recover or no_backup else told, as_json=as_json)


def make_mnemonic(words: Words = DEFAULT_WORDS, as_json: Json = False) -> None:
    """Make a mnemonic and keep nothing. `pivot keys add --recover` takes it."""
    made = fresh(words)
    if as_json:
        print_json({"mnemonic": made})
    else:
        typer.echo(made)


def fresh(words: int) -> str:
    """A new mnemonic."""
    if words not in ENTROPY_BYTES_OF_WORDS:
        raise wrong_usage(f"--words: a mnemonic has 12, 15, 18, 21 or 24 words, not {words}")
    return phrase(secrets.token_bytes(ENTROPY_BYTES_OF_WORDS[words]))


def _recovered() -> str:
    asked = "Mnemonic" if not sys.stdin.isatty() else "Mnemonic (it is not shown)"
    told = next_line(asked) if not sys.stdin.isatty() else ask_password(asked, new=False)
    try:
        check_phrase(told)
    except InvalidMnemonic as error:
        raise CommandFailed(str(error)) from error
    return told


def _derived(mnemonic: str, path: str) -> PrivateKey:
    try:
        return PrivateKey.from_mnemonic(mnemonic, path)
    except (ValueError, OverflowError) as error:
        raise CommandFailed(f"{path!r} is no HD path such as m/44'/{COIN_TYPE}'/0'/0/0") from error


def _given(text: str) -> PublicKey:
    """A public key from the command line."""
    if text.lstrip().startswith("{"):
        try:
            document: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise CommandFailed(f"--pubkey is not JSON: {error}") from error
        return parse_public_key(document)
    try:
        return single(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise CommandFailed("--pubkey is neither base64 nor the JSON of a public key") from error


def _together(ring: Keyring, names: str, threshold: int, *, sort: bool) -> PublicKey:
    """The key of several, sorted by address as other tools do, so that all make the same account."""
    members = [ring.find(name.strip()) for name in names.split(",")]
    if sort:
        members.sort(key=lambda member: to_bytes(member.address))
    keys = [member.public_key.key for member in members if isinstance(member.public_key, PubKey)]
    if len(keys) < len(members):
        raise CommandFailed(f"{names}: one of them is itself held by several keys")
    try:
        return threshold_key(keys, threshold)
    except InvalidMultisig as error:
        raise CommandFailed(str(error)) from error


def _print_new(record: KeyRecord, mnemonic: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**described(record), **({"mnemonic": mnemonic} if mnemonic else {})})
        return
    print_key(record, as_json=False)
    if mnemonic:
        say(
            "Write these words down and keep them where nobody else can read them: they are the only way back to the key."
        )
        typer.echo(f"mnemonic: {mnemonic}")
