"""A transaction as it arrives: decoded, bounded, and checked as far as that needs no state.

Fields that a type does not have are refused everywhere, and the outer TxRaw must be encoded canonically, so one signed
content has one hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Fee, TxBody, TxRaw
from google.protobuf.message import Message

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import MessageHandler, MessageTable, decode
from pivot.chain.modules.auth.state import check_address
from pivot.chain.signers import Signer, read_signers
from pivot.primitives.coins import BASE_DENOM, MAX_AMOUNT
from pivot.protocol.messages import signers, type_url
from pivot.protocol.transactions import NANOSECONDS, nanoseconds

MAX_TRANSACTION_BYTES = 2**20
"""As the engine's own limit."""
MAX_MEMO_CHARACTERS = 256
MAX_MESSAGES = 256
MAX_SECONDS = 2**33
"""Of a time-out: the year 2242. Unix nanoseconds then still fit 64 bits."""
GAS_PER_BYTE = 10
GAS_PER_SIGNATURE = 1_000


class Call(NamedTuple):
    """One message, what handles it, and whose signatures it needs."""

    handler: MessageHandler
    message: Message
    signers: tuple[str, ...]


class Act(NamedTuple):
    """What is done in somebody's name: `sender` signs for it, `owner` is responsible. They differ inside a MsgExec."""

    handler: MessageHandler
    message: Message
    sender: str
    owner: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction. Nothing in it is changed any more."""

    raw: bytes
    body: bytes
    auth_info: bytes
    calls: tuple[Call, ...]
    acts: tuple[Act, ...]
    """What the calls do; those that carry others' messages are replaced by these."""
    signers: tuple[Signer, ...]
    fee: int
    """Offered, ngonka."""
    payer: str
    """Who pays: the first signer, or another one whom the transaction names."""
    granter: str
    """Whose allowance pays instead (feegrant); empty: nobody's."""
    gas: int
    """What it takes: a fixed table, known before it runs."""
    gas_limit: int
    """0: whatever it takes."""
    timeout_height: int
    """0: none."""
    timeout_ns: int
    """Unix nanoseconds; 0: none."""
    unordered: bool

    @property
    def is_duty(self) -> bool:
        """Whether all that it does are duties of members."""
        return all(act.handler.duty for act in self.acts)

    @property
    def is_urgent(self) -> bool:
        """Whether it goes first in a proposal."""
        return all(act.handler.urgent for act in self.acts)


def decode_transaction(raw: bytes, messages: MessageTable, *, simulated: bool = False) -> Transaction:
    """Decode and check a transaction. A simulated one needs no signature and no signing mode.

    Raises SdkError, and what the messages' own stateless checks raise.
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise SdkError(SdkCode.TX_TOO_LARGE, f"the transaction has {len(raw)} bytes, at most {MAX_TRANSACTION_BYTES}")
    outer = decode(TxRaw, raw)
    if outer.SerializeToString(deterministic=True) != raw:
        raise SdkError(SdkCode.TX_DECODE, "the transaction is not encoded canonically")
    body, auth = decode(TxBody, outer.body_bytes), decode(AuthInfo, outer.auth_info_bytes)
    _check_body(body)
    calls = _calls(body, messages)
    acts = tuple(act for call in calls for act in _acts(call, messages))
    who = read_signers(_needed(calls, auth.fee), auth.signer_infos, outer.signatures, simulated=simulated)
    _check_order(body, who)
    gas = GAS_PER_BYTE * len(raw) + GAS_PER_SIGNATURE * sum(signer.checks for signer in who)
    gas += sum(call.handler.gas(call.message) for call in calls)
    return Transaction(
        raw=raw,
        body=outer.body_bytes,
        auth_info=outer.auth_info_bytes,
        calls=calls,
        acts=acts,
        signers=who,
        fee=_fee(auth),
        payer=auth.fee.payer or who[0].address,
        granter=auth.fee.granter,
        gas=gas,
        gas_limit=auth.fee.gas_limit,
        timeout_height=body.timeout_height,
        timeout_ns=nanoseconds(body.timeout_timestamp),
        unordered=body.unordered,
    )


def _check_body(body: TxBody) -> None:
    if len(body.memo) > MAX_MEMO_CHARACTERS:
        raise SdkError(SdkCode.MEMO_TOO_LARGE, f"memo: {len(body.memo)} characters, at most {MAX_MEMO_CHARACTERS}")
    if not 0 < len(body.messages) <= MAX_MESSAGES:
        raise SdkError(SdkCode.INVALID_REQUEST, f"messages: 1 to {MAX_MESSAGES} are needed, not {len(body.messages)}")
    if body.extension_options or body.non_critical_extension_options:
        raise SdkError(SdkCode.UNKNOWN_REQUEST, "extension_options: this chain knows none")
    timeout = body.timeout_timestamp
    if not (0 <= timeout.seconds < MAX_SECONDS and 0 <= timeout.nanos < NANOSECONDS):
        raise SdkError(SdkCode.INVALID_REQUEST, "timeout_timestamp: not a time between 1970 and 2242")


def _check_order(body: TxBody, who: Sequence[Signer]) -> None:
    """An unordered transaction has a time-out and no sequences."""
    if not body.unordered:
        return
    if not (body.timeout_timestamp.seconds or body.timeout_timestamp.nanos):
        raise SdkError(SdkCode.INVALID_REQUEST, "unordered transaction must have timeout_timestamp set")
    if any(signer.sequence for signer in who):
        raise SdkError(SdkCode.INVALID_REQUEST, "sequence must be 0 in an unordered transaction")


def _calls(body: TxBody, messages: MessageTable) -> tuple[Call, ...]:
    calls = []
    for packed in body.messages:
        handler, message = messages.unpack(packed)
        handler.check(message)
        calls.append(Call(handler, message, tuple(signers(message))))
    return tuple(calls)


def _acts(call: Call, messages: MessageTable) -> Sequence[Act]:
    if call.handler.inner is None:
        return [Act(call.handler, call.message, each, each) for each in call.signers]
    acts = []
    for message in call.handler.inner(call.message):
        handler = messages.all()[type_url(message)]
        acts += [Act(handler, message, call.signers[0], owner) for owner in signers(message)]
    return acts


def _needed(calls: Sequence[Call], fee: Fee) -> list[str]:
    """Whose signatures are needed: those of the messages' signers in their order, then of whoever pays the fee."""
    payer = [fee.payer] if fee.payer else []
    return list(dict.fromkeys([address for call in calls for address in call.signers] + payer))


def _fee(auth: AuthInfo) -> int:
    fee: Fee = auth.fee
    if auth.HasField("tip"):
        raise SdkError(SdkCode.INVALID_REQUEST, "tip: this chain takes no tips")
    if fee.granter:
        check_address("fee.granter", fee.granter)
    if not fee.amount:
        return 0
    coin = fee.amount[0]
    if len(fee.amount) > 1 or coin.denom != BASE_DENOM:
        raise SdkError(SdkCode.INVALID_COINS, f"fee.amount: one coin in {BASE_DENOM} is taken, or none")
    text = coin.amount
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_AMOUNT)) or int(text) > MAX_AMOUNT:
        raise SdkError(SdkCode.INVALID_COINS, f"fee.amount: {text[:40]!r} is not a whole number up to {MAX_AMOUNT}")
    return int(text)
