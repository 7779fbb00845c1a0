"""Messages whose well-known form on the command line is not that of their fields.

    bank multi-send <to>... <amount>            each receiver gets the amount
    authz grant <grantee> generic --msg-type /package.Msg --expiration TIME
    feegrant grant-allowance <grantee> --spend-limit 100ngonka --expiration TIME --allowed-messages URL,URL
    gov submit-proposal proposal.json           the file that the tools of Cosmos chains take

The fields can still be given one by one.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from google.protobuf.message import Message

from pivot.chain.gateway.json_parse import read
from pivot.cli.fields import Resolve, parse_coins, parse_time, read_json

GENERIC_AUTHORIZATION = "/cosmos.authz.v1beta1.GenericAuthorization"
BASIC_ALLOWANCE = "/cosmos.feegrant.v1beta1.BasicAllowance"
PERIODIC_ALLOWANCE = "/cosmos.feegrant.v1beta1.PeriodicAllowance"
MESSAGES_ALLOWANCE = "/cosmos.feegrant.v1beta1.AllowedMsgAllowance"

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A form of its own. `fill` returns whether it was meant: whether the arguments and options are of this form."""

    arguments: str
    options: tuple[inspect.Parameter, ...]
    fill: Callable[[Message, str, Sequence[str], Given, Resolve], bool]


def _option(name: str, help_text: str, default: Any = "", kind: Any = str) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(help=help_text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _multi_send(message: Message, sender: str, values: Sequence[str], _: Given, resolve: Resolve) -> bool:
    if len(values) < 2:
        return False
    *receivers, amount = values
    coins = parse_coins(amount)
    total = [{**coin, "amount": str(int(coin["amount"]) * len(receivers))} for coin in coins]
    document = {
        "inputs": [{"address": sender, "coins": total}],
        "outputs": [{"address": resolve(receiver), "coins": coins} for receiver in receivers],
    }
    read(json.dumps(document), message)
    return True


def _grant(message: Message, _: str, values: Sequence[str], given: Given, resolve: Resolve) -> bool:
    kind = values[1] if len(values) > 1 else "generic"
    if not given["msg_type"] or not values:
        return False
    if len(values) > 2 or kind != "generic":
        raise ValueError(f"{' '.join(values[1:])!r}: this chain knows generic authorizations")
    grant: dict[str, Any] = {"authorization": {"@type": GENERIC_AUTHORIZATION, "msg": given["msg_type"]}}
    if given["expiration"]:
        grant["expiration"] = parse_time(given["expiration"])
    read(json.dumps({"grantee": resolve(values[0]), "grant": grant}), message)
    return True


def _allowance(message: Message, _: str, values: Sequence[str], given: Given, resolve: Resolve) -> bool:
    if len(values) != 1 or given.get("field_allowance"):
        return False
    allowance: dict[str, Any] = {"@type": BASIC_ALLOWANCE}
    if given["spend_limit"]:
        allowance["spend_limit"] = parse_coins(given["spend_limit"])
    if given["expiration"]:
        allowance["expiration"] = parse_time(given["expiration"])
    if given["period"]:
        basic = {name: value for name, value in allowance.items() if name != "@type"}
        limit = parse_coins(given["period_limit"])
        period = f"{given['period']}s"
        allowance = {"@type": PERIODIC_ALLOWANCE, "basic": basic, "period": period, "period_spend_limit": limit}
    if given["allowed_messages"]:
        listed = [each.strip() for each in given["allowed_messages"].split(",")]
        allowance = {"@type": MESSAGES_ALLOWANCE, "allowance": allowance, "allowed_messages": listed}
    read(json.dumps({"grantee": resolve(values[0]), "allowance": allowance}), message)
    return True


def _proposal(message: Message, _: str, values: Sequence[str], __: Given, ___: Resolve) -> bool:
    if len(values) != 1:
        return False
    document = read_json(values[0] if values[0].lstrip().startswith("{") else f"@{values[0].removeprefix('@')}")
    if not isinstance(document, dict) or "title" not in document:
        raise ValueError("a proposal is a JSON object with messages, deposit, title and summary")
    document = dict(document)
    if deposit := document.pop("deposit", ""):
        document["initial_deposit"] = parse_coins(deposit)
    read(json.dumps(document), message)
    return True


_EXPIRATION = _option("expiration", "Time at which it ends, in RFC 3339 or Unix seconds; empty: never.")

SHAPES: Mapping[str, Shape] = {
    "/cosmos.bank.v1beta1.MsgMultiSend": Shape("TO... AMOUNT", (), _multi_send),
    "/cosmos.authz.v1beta1.MsgGrant": Shape(
        "GRANTEE generic",
        (
            _option("msg_type", "Type of the message that the grantee may send, such as /cosmos.bank.v1beta1.MsgSend."),
            _EXPIRATION,
        ),
        _grant,
    ),
    "/cosmos.feegrant.v1beta1.MsgGrantAllowance": Shape(
        "GRANTEE",
        (
            _option("spend_limit", "Most that may be spent in all, such as 100ngonka; empty: no limit."),
            _EXPIRATION,
            _option("period", "Seconds of one period; 0: none.", 0, int),
            _option("period_limit", "Most that may be spent in a period."),
            _option("allowed_messages", "Types of messages whose fees may be paid, separated by commas; empty: all."),
        ),
        _allowance,
    ),
    "/cosmos.gov.v1.MsgSubmitProposal": Shape("FILE", (), _proposal),
}
