"""A transaction's way from its messages to a block, with all the places at which a person may stop it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from cosmos.base.abci.v1beta1.abci_pb2 import TxResponse
from cosmos.tx.v1beta1.tx_pb2 import Tx
from google.protobuf.message import Message

from pivot.cli.chain_port import AccountState, ChainPort, ChainRefused
from pivot.cli.flags import KeyFlags, NodeFlags, whole, wrong_usage
from pivot.cli.keyrings import keyring
from pivot.cli.output import CommandFailed, print_json, say
from pivot.cli.tx.draft import (
    DEFAULT_OFFLINE_GAS,
    DraftFlags,
    document,
    draft,
    encoded,
    fixed_gas,
    needed_signers,
    set_fee,
    write_document,
)
from pivot.cli.tx.signing import DEFAULT_MODE, mode_of, set_unsigned, sign
from pivot.node.keyring.errors import KeyMissing
from pivot.node.keyring.keyring import Keyring
from pivot.node.keyring.record import PublicKey
from pivot.protocol.transactions import transaction_hash

BROADCAST_MODES = ("block", "sync", "async")


@dataclass(frozen=True)
class SignerFlags:
    """Who signs, and what the chain would otherwise tell of that account."""

    sign_mode: Annotated[str, typer.Option(help="What is signed: direct or amino-json.")] = DEFAULT_MODE
    chain_id: Annotated[str, typer.Option(help="Name of the chain.  [default: as the node tells it]")] = ""
    account_number: Annotated[int | None, typer.Option(callback=whole, help="In place of the chain's answer.")] = None
    sequence: Annotated[int | None, typer.Option(callback=whole, help="In place of the chain's answer.")] = None
    offline: Annotated[bool, typer.Option("--offline", help="Ask no node; the three before are then needed.")] = False


@dataclass(frozen=True)
class SendFlags:
    """How far a transaction goes."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try it out on the node; sign and send nothing.")] = False
    generate_only: Annotated[
        bool, typer.Option("--generate-only", help="Print the unsigned transaction; --from may be an address.")
    ] = False
    broadcast_mode: Annotated[
        str,
        typer.Option("--broadcast-mode", "-b", help="Wait for a block, for the node's check (sync), or not (async)."),
    ] = "block"
    output_document: Annotated[
        Path | None, typer.Option("--output-document", help="With --generate-only: the file for it.")
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False


@dataclass(frozen=True)
class TxFlags:
    """All options of a command that makes a transaction."""

    draft: DraftFlags
    signer: SignerFlags
    send: SendFlags
    keys: KeyFlags
    node: NodeFlags


def carry_out(messages: Sequence[Message], sender: str, flags: TxFlags) -> None:
    """Make a transaction of the messages and take it as far as the flags say. `sender`: key or address."""
    _check(flags)
    port = ChainPort(flags.node.node)
    with keyring(flags.keys) as ring:
        transaction = draft(messages, flags.draft, ring.address)
        _complete(transaction, ring, port, flags)
        if flags.send.dry_run:
            _tell_trial(port, transaction, as_json=flags.send.as_json)
            return
        if flags.send.generate_only:
            del transaction.auth_info.signer_infos[:]
            del transaction.signatures[:]
            write_document(transaction, flags.send.output_document)
            return
        record = ring.find(sender)
        state, chain_id = account_state(port, record.address, flags.signer)
        mode = mode_of(flags.signer.sign_mode)
        del transaction.auth_info.signer_infos[:]
        del transaction.signatures[:]
        sign(transaction, ring.secret(sender), record.public_key, state, chain_id, mode)
    if not all(transaction.signatures):
        raise CommandFailed(
            f"this transaction needs the signatures of {' and '.join(needed_signers(transaction))}: "
            "--generate-only, then `pivot tx sign` by each, then `pivot tx broadcast`"
        )
    if flags.signer.offline:
        write_document(transaction, flags.send.output_document)
        return
    confirm(transaction, flags.send)
    send(port, transaction, flags.send)


def account_state(port: ChainPort, address: str, flags: SignerFlags) -> tuple[AccountState, str]:
    """Number and sequence of the signer's account, and the chain's name: as given, else as the chain tells them."""
    if flags.offline:
        if not flags.chain_id or flags.account_number is None or flags.sequence is None:
            raise wrong_usage("--offline needs --chain-id, --account-number and --sequence")
        return AccountState(flags.account_number, flags.sequence), flags.chain_id
    told = port.chain_id()
    if flags.chain_id and flags.chain_id != told:
        raise CommandFailed(f"the node is on the chain {told}, not on {flags.chain_id} (--chain-id)")
    if flags.account_number is not None and flags.sequence is not None:
        return AccountState(flags.account_number, flags.sequence), told
    state = port.account(address)
    number = state.number if flags.account_number is None else flags.account_number
    return AccountState(number, state.sequence if flags.sequence is None else flags.sequence), told


def confirm(transaction: Tx, flags: SendFlags) -> None:
    """Show a transaction and ask; --yes stands for the answer."""
    if not flags.yes:
        say(yaml.safe_dump(document(transaction), sort_keys=False, allow_unicode=True).rstrip())
        typer.confirm("Sign off and send this transaction?", abort=True, err=True)


def send(port: ChainPort, transaction: Tx, flags: SendFlags) -> None:
    """Hand it to the chain and tell what became of it. Raises ChainRefused."""
    if flags.broadcast_mode not in BROADCAST_MODES:
        raise wrong_usage(f"--broadcast-mode: {', '.join(BROADCAST_MODES)}, not {flags.broadcast_mode!r}")
    raw = encoded(transaction)
    name = transaction_hash(raw)
    port.broadcast(raw, checked=flags.broadcast_mode != "async")
    if flags.broadcast_mode != "block":
        tell({"txhash": name}, as_json=flags.as_json)
        return
    response = port.wait(name)
    tell_response(response, as_json=flags.as_json)
    if response.code:
        raise ChainRefused(response.codespace, response.code, response.raw_log)


def tell_response(response: TxResponse, *, as_json: bool) -> None:
    """A transaction in a block: all of it as JSON, what matters for people."""
    if as_json:
        print_json(document(response))
        return
    shown = {
        "txhash": response.txhash,
        "height": str(response.height),
        "code": response.code,
        **({"codespace": response.codespace, "raw_log": response.raw_log} if response.code else {}),
        "gas_used": str(response.gas_used),
    }
    tell(shown, as_json=False)


def tell(shown: Any, *, as_json: bool) -> None:
    """Data on stdout: JSON, or lines of `name: value`."""
    if as_json:
        print_json(shown)
    else:
        typer.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())


def _check(flags: TxFlags) -> None:
    if flags.signer.offline and flags.send.dry_run:
        raise wrong_usage("--dry-run asks a node: not with --offline")
    if flags.send.generate_only and flags.send.dry_run:
        raise wrong_usage("--dry-run and --generate-only exclude each other")
    mode_of(flags.signer.sign_mode)


def _complete(transaction: Tx, ring: Keyring, port: ChainPort, flags: TxFlags) -> None:
    """Find gas and fee, if need be by trying the transaction out."""
    gas = fixed_gas(flags.draft)
    if flags.signer.offline:
        set_fee(transaction, flags.draft, gas or DEFAULT_OFFLINE_GAS, 0)
        return
    needed = needed_signers(transaction)
    if gas is None or flags.send.dry_run:
        sequences = [_sequence(port, address, transaction, flags.signer) for address in needed]
        set_unsigned(transaction, [_public_key(ring, address) for address in needed], sequences)
        if not flags.send.dry_run:
            gas = int(port.simulate(encoded(transaction)).gas_info.gas_used * flags.draft.gas_adjustment)
    set_fee(transaction, flags.draft, gas or 0, port.gas_price_e18())


def _sequence(port: ChainPort, address: str, transaction: Tx, flags: SignerFlags) -> int:
    if transaction.body.unordered:
        return 0
    return port.account(address).sequence if flags.sequence is None else flags.sequence


def _public_key(ring: Keyring, address: str) -> PublicKey | None:
    try:
        return ring.find(address).public_key
    except KeyMissing:
        return None


def _tell_trial(port: ChainPort, transaction: Tx, *, as_json: bool) -> None:
    found = document(port.simulate(encoded(transaction)))
    if as_json:
        print_json(found)
    else:
        events = [event["type"] for event in found["result"]["events"]]
        tell({"gas_used": found["gas_info"]["gas_used"], "events": events}, as_json=False)
