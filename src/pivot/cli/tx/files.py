"""Transactions in files: signed by those who must, put together, sent, looked into."""

import base64
import binascii
from pathlib import Path
from typing import Annotated

import typer
from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignatureDescriptors

from pivot.chain.gateway.json_parse import InvalidJson, read
from pivot.cli.chain_port import ChainPort
from pivot.cli.flags import KeyFlags, NodeFlags, spread
from pivot.cli.keyrings import keyring
from pivot.cli.output import CommandFailed, Json, print_json
from pivot.cli.tx.draft import decoded, document, encoded, read_text, read_transaction, write_document
from pivot.cli.tx.sending import SendFlags, SignerFlags, account_state, confirm, send, tell
from pivot.cli.tx.signing import mode_of, part_of, sign, sign_together
from pivot.protocol.transactions import transaction_hash

File = Annotated[str, typer.Argument(metavar="FILE", help="A transaction in JSON; - for standard input.")]
Output = Annotated[Path | None, typer.Option("--output-document", help="File for the result, in place of stdout.")]
From = Annotated[str, typer.Option("--from", help="Who signs: name of a key, or its address.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("sign")(spread(sign_file))
    app.command("multisign")(spread(multisign_file))
    app.command("broadcast")(spread(broadcast_file))
    app.command("decode")(decode_bytes)
    app.command("encode")(encode_file)


def sign_file(
    file: File,
    sender: From,
    signer: SignerFlags,
    keys: KeyFlags,
    node: NodeFlags,
    multisig: Annotated[
        str, typer.Option(help="Sign as a member of this account (key or address); prints the signature alone.")
    ] = "",
    signature_only: Annotated[bool, typer.Option("--signature-only", help="Print the signatures alone.")] = False,
    output: Output = None,
) -> None:
    """Sign a transaction made with --generate-only. Nothing is sent."""
    transaction = read_transaction(file)
    with keyring(keys) as ring:
        record = ring.find(sender)
        address = ring.address(multisig) if multisig else record.address
        state, chain_id = account_state(ChainPort(node.node), address, signer)
        if multisig:
            part = part_of(transaction, ring.secret(sender), record.public_key, state, chain_id)
            write_document(SignatureDescriptors(signatures=[part]), output)
            return
        sign(transaction, ring.secret(sender), record.public_key, state, chain_id, mode_of(signer.sign_mode))
    if signature_only:
        infos = zip(transaction.auth_info.signer_infos, transaction.signatures, strict=True)
        found = SignatureDescriptors()
        for info, signature in infos:
            part = found.signatures.add(public_key=info.public_key, sequence=info.sequence)
            part.data.single.mode = info.mode_info.single.mode
            part.data.single.signature = signature
        write_document(found, output)
        return
    write_document(transaction, output)


def multisign_file(
    file: File,
    name: Annotated[str, typer.Argument(help="The account of several keys, as the keyring knows it.")],
    signatures: Annotated[
        list[str], typer.Argument(metavar="SIGNATURE...", help="Files made by `tx sign --multisig`.")
    ],
    signer: SignerFlags,
    keys: KeyFlags,
    node: NodeFlags,
    output: Output = None,
) -> None:
    """Put members' signatures together to that of an account of several keys."""
    transaction = read_transaction(file)
    with keyring(keys) as ring:
        record = ring.find(name)
        if not isinstance(record.public_key, LegacyAminoPubKey):
            raise CommandFailed(f"{record.name} is one key: `pivot tx sign` signs with it")
        state, chain_id = account_state(ChainPort(node.node), record.address, signer)
        parts = {key: signature for each in signatures for key, signature in _parts(each)}
        sign_together(transaction, record.public_key, record.address, parts, state, chain_id)
    write_document(transaction, output)


def broadcast_file(file: File, flags: SendFlags, node: NodeFlags) -> None:
    """Send a signed transaction."""
    transaction = read_transaction(file)
    port = ChainPort(node.node)
    if flags.dry_run:
        tell(document(port.simulate(encoded(transaction))), as_json=flags.as_json)
        return
    if not transaction.signatures or not all(transaction.signatures):
        raise CommandFailed(f"{file} is not signed by all: `pivot tx sign` signs it")
    confirm(transaction, flags)
    send(port, transaction, flags)


def decode_bytes(
    text: Annotated[
        str, typer.Argument(metavar="BASE64", help="A transaction's bytes in base64; - for standard input.")
    ],
    in_hex: Annotated[bool, typer.Option("--hex", "-x", help="The bytes are in hex.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is in a transaction's bytes."""
    given = (read_text(text) if text == "-" else text).strip()
    try:
        raw = bytes.fromhex(given) if in_hex else base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CommandFailed(f"not {'hex' if in_hex else 'base64'}: {error}") from error
    tell(document(decoded(raw)), as_json=as_json)


def encode_file(file: File, as_json: Json = False) -> None:
    """Print a transaction's bytes in base64."""
    raw = encoded(read_transaction(file))
    if as_json:
        print_json({"tx": base64.b64encode(raw).decode(), "txhash": transaction_hash(raw)})
    else:
        typer.echo(base64.b64encode(raw).decode())


def _parts(file: str) -> list[tuple[bytes, bytes]]:
    """Keys and signatures of a file. Raises CommandFailed."""
    try:
        found = read(read_text(file), SignatureDescriptors())
    except InvalidJson as error:
        raise CommandFailed(f"{file} holds no signatures: {error}") from error
    return [(PubKey.FromString(part.public_key.value).key, part.data.single.signature) for part in found.signatures]
