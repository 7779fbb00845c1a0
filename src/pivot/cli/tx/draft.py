"""Unsigned transactions: out of messages and options, and from and to the JSON that Cosmos chains' tools exchange."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Fee, Tx, TxBody, TxRaw
from google.protobuf.message import DecodeError, Message

from pivot.chain.gateway import json_form
from pivot.chain.gateway.json_parse import InvalidJson, read
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.registry import MESSAGES
from pivot.cli.fields import Resolve, parse_coins
from pivot.cli.flags import whole, wrong_usage
from pivot.cli.output import CommandFailed
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import pack, signers
from pivot.protocol.transactions import NANOSECONDS, timestamp

DEFAULT_OFFLINE_GAS = 200_000
DEFAULT_UNORDERED_SECONDS = 300
AUTO = "auto"
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class DraftFlags:
    """What stands in a transaction beside its messages."""

    fees: Annotated[str, typer.Option(help="Fee, such as 100ngonka.  [default: the least that the chain takes]")] = ""
    gas: Annotated[str, typer.Option(help="Gas limit, or auto: try it out first.")] = AUTO
    gas_adjustment: Annotated[float, typer.Option(min=1.0, help="Factor on the gas found by auto.")] = 1.2
    gas_prices: Annotated[str, typer.Option(help="Fee per unit of gas, such as 0.1ngonka, in place of --fees.")] = ""
    note: Annotated[str, typer.Option("--note", "--memo", help="A remark in the transaction, for everybody.")] = ""
    timeout_height: Annotated[int, typer.Option(callback=whole, help="Last block that may take it; 0: any.")] = 0
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Without a sequence: valid once, until its time-out.")
    ] = False
    timeout_duration: Annotated[
        int, typer.Option(min=0, max=600, help="Seconds until an unordered transaction's time-out.")
    ] = DEFAULT_UNORDERED_SECONDS
    fee_payer: Annotated[str, typer.Option(help="Account that pays the fee, and signs, too.")] = ""
    fee_granter: Annotated[str, typer.Option(help="Account that has granted an allowance for fees.")] = ""


def draft(messages: Sequence[Message], flags: DraftFlags, resolve: Resolve) -> Tx:
    """A transaction without signers, fee and gas. `resolve`: the address of an account that may be named by a key."""
    body = TxBody(
        messages=[pack(message) for message in messages], memo=flags.note, timeout_height=flags.timeout_height
    )
    if flags.unordered:
        body.unordered = True
        body.timeout_timestamp.CopyFrom(timestamp(time.time_ns() + flags.timeout_duration * NANOSECONDS))
    payer, granter = (name and resolve(name) for name in (flags.fee_payer, flags.fee_granter))
    fee = Fee(payer=payer, granter=granter)
    return Tx(body=body, auth_info=AuthInfo(fee=fee))


def fixed_gas(flags: DraftFlags) -> int | None:
    """The gas limit that was given; None for auto."""
    if flags.gas == AUTO:
        return None
    try:
        return whole(int(flags.gas.replace("_", "")))
    except (ValueError, typer.BadParameter):
        raise wrong_usage(f"--gas: a whole number or auto, not {flags.gas[:40]!r}") from None


def set_fee(transaction: Tx, flags: DraftFlags, gas: int, least_price_e18: int) -> None:
    """Write down gas and fee: the given one, or gas at the given price, or at the chain's least."""
    transaction.auth_info.fee.gas_limit = gas
    if flags.fees and flags.gas_prices:
        raise wrong_usage("--fees and --gas-prices exclude each other")
    try:
        if flags.fees:
            coins = parse_coins(flags.fees)
        else:
            price = _price_e18(flags.gas_prices) if flags.gas_prices else least_price_e18
            amount = -(-gas * price // 10**18)
            coins = [{"denom": BASE_DENOM, "amount": str(amount)}] if amount else []
    except ValueError as error:
        raise wrong_usage(str(error)) from error
    for coin in coins:
        transaction.auth_info.fee.amount.add(**coin)


def needed_signers(transaction: Tx) -> list[str]:
    """Addresses whose signatures a transaction needs, in their order: those of its messages, then the fee's payer."""
    found: list[str] = []
    for packed in transaction.body.messages:
        handler = MESSAGES.find(packed.type_url)
        if handler is None:
            raise CommandFailed(f"this chain has no message {packed.type_url[:200]!r}")
        found += signers(handler.type.FromString(packed.value))
    if transaction.auth_info.fee.payer:
        found.append(transaction.auth_info.fee.payer)
    return list(dict.fromkeys(found))


def encoded(transaction: Tx) -> bytes:
    """As it goes to the chain."""
    raw = TxRaw(
        body_bytes=body_bytes(transaction), auth_info_bytes=auth_bytes(transaction), signatures=transaction.signatures
    )
    return bytes(raw.SerializeToString(deterministic=True))


def body_bytes(transaction: Tx) -> bytes:
    return bytes(transaction.body.SerializeToString(deterministic=True))


def auth_bytes(transaction: Tx) -> bytes:
    return bytes(transaction.auth_info.SerializeToString(deterministic=True))


def decoded(raw: bytes) -> Tx:
    """The transaction of its bytes. Raises CommandFailed."""
    try:
        outer = TxRaw.FromString(raw)
        body, auth = TxBody.FromString(outer.body_bytes), AuthInfo.FromString(outer.auth_info_bytes)
    except DecodeError as error:
        raise CommandFailed(f"these {len(raw)} bytes are no transaction") from error
    return Tx(body=body, auth_info=auth, signatures=outer.signatures)


def document(message: Message) -> Any:
    """The JSON of a message, as the REST gateway prints it. Raises CommandFailed when it holds what this chain does not know."""
    try:
        return json_form.document(message)
    except Refusal as refusal:
        raise CommandFailed(refusal.message) from refusal


def read_transaction(file: str) -> Tx:
    """A transaction in JSON from a file, or stdin for -. Raises CommandFailed."""
    try:
        found = read(read_text(file), Tx())
    except InvalidJson as error:
        raise CommandFailed(f"{file} is no transaction in JSON: {error}") from error
    if not found.body.messages:
        raise CommandFailed(f"{file} is no transaction: it has no messages")
    return found


def read_text(file: str) -> str:
    """A file's text, or stdin's for -. Raises CommandFailed."""
    try:
        return sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error


def write_document(message: Message, output: Path | None) -> None:
    """JSON on stdout, or in a file."""
    text = json.dumps(document(message), indent=2)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n")


def _price_e18(text: str) -> int:
    digits = text.removesuffix(BASE_DENOM)
    whole, _, behind = digits.partition(".")
    if digits == text or not (whole + behind).isdigit() or len(behind) > 18:
        raise ValueError(f"--gas-prices: {text!r} is no price such as 0.1{BASE_DENOM}")
    return int(whole + behind.ljust(18, "0"))
