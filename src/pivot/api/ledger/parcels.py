"""Entries of the outbox, packed for the road: what travels in one transaction, and each entry's own verdict afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from pivot.api.ledger.interface import LedgerError
from pivot.api.ledger.rpc import Inclusion, Verdict
from pivot.api.ledger.tables import Kind
from pivot.api.ledger.verdicts import NETWORK
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
)

MAX_ITEMS = 1_000
MAX_BATCH_BYTES = 512 * 1024 - 4_096
"""Of the items; the rest is for what surrounds them (design, decision 16)."""
ITEM_OVERHEAD_BYTES = 8
INSUFFICIENT_FEE = 13
GAS_PER_BYTE = 10
GAS_BOUND_PER_ENTRY = 200_000
"""Above what any message or signature takes in the chain's table of gas."""
ONE_E18 = 10**18


@dataclass(frozen=True)
class Entry:
    """An open entry: what is needed to send it and to judge the answer."""

    key: str
    sequence: int
    kind: Kind
    message: bytes
    """Any."""
    attempts: int = 0
    batch_limit: int = MAX_ITEMS
    code: int = 0
    """Of the last refusal."""


def kind_of(message: Message) -> Kind:
    """How a message travels."""
    if isinstance(message, MsgStartInference):
        return Kind.START
    if isinstance(message, MsgFinishInference):
        return Kind.FINISH
    return Kind.ALONE


def first_batch(waiting: Sequence[Entry]) -> list[Entry]:
    """The items that go first, within the limits of a batch and of each item. At least one, if any waits."""
    batch: list[Entry] = []
    limit, size = MAX_ITEMS, 0
    for entry in waiting:
        limit = min(limit, entry.batch_limit)
        size += len(entry.message) + ITEM_OVERHEAD_BYTES
        if batch and (len(batch) >= limit or size > MAX_BATCH_BYTES):
            break
        batch.append(entry)
    return batch


def message_of(entries: Sequence[Entry], creator: str) -> Message:
    """The one message that carries these entries."""
    if entries[0].kind is Kind.ALONE:
        return _unpack(AnyMessage.FromString(entries[0].message))
    batch = MsgRecordInferences(creator=creator)
    for entry in in_order(entries):
        packed = AnyMessage.FromString(entry.message)
        item: MsgStartInference | MsgFinishInference = (
            batch.starts.add() if entry.kind is Kind.START else batch.finishes.add()
        )
        item.MergeFromString(packed.value)
    return batch


def fee_for(entries: Sequence[Entry], gas_price_e18: int) -> int:
    """ngonka to offer: nothing, as duties are free, until the chain has asked for a fee. Then the minimum price of a bound."""
    if all(entry.code != INSUFFICIENT_FEE for entry in entries):
        return 0
    gas = sum(GAS_BOUND_PER_ENTRY + GAS_PER_BYTE * len(entry.message) for entry in entries)
    return -(-gas * gas_price_e18 // ONE_E18)


def verdicts(entries: Sequence[Entry], inclusion: Inclusion) -> list[tuple[Entry, Verdict]]:
    """Each entry's verdict, from a transaction that went through."""
    if entries[0].kind is Kind.ALONE:
        return [(entry, inclusion.verdict) for entry in entries]
    try:
        answer = _batch_answer(inclusion.data)
    except (DecodeError, IndexError) as error:
        raise LedgerError(f"the chain's answer to a batch in block {inclusion.height} cannot be read") from error
    results = [*answer.starts, *answer.finishes]
    if len(results) != len(entries):
        raise LedgerError(f"the chain answered {len(results)} of {len(entries)} items in block {inclusion.height}")
    return [
        (entry, Verdict(result.code, NETWORK, result.log))
        for entry, result in zip(in_order(entries), results, strict=True)
    ]


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Starts, then finishes, each in order of arrival: the same before and after a restart."""
    return sorted(entries, key=lambda entry: (entry.kind, entry.sequence))


def _unpack(packed: AnyMessage) -> Message:
    name = packed.type_url.removeprefix("/")
    kind: type[Message] = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
    return kind.FromString(packed.value)


def _batch_answer(data: bytes) -> MsgRecordInferencesResponse:
    packed = TxMsgData.FromString(data).msg_responses[0]
    return MsgRecordInferencesResponse.FromString(packed.value)
