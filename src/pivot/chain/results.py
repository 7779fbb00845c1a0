"""What the engine is told of a transaction, in the shape that clients of Cosmos chains read."""

from collections.abc import Iterable, Sequence
from typing import Any

from cosmos.base.abci.v1beta1.abci_pb2 import GasInfo, Result, TxMsgData
from cosmos.tx.v1beta1.service_pb2 import SimulateResponse
from google.protobuf.message import Message
from tendermint.abci.types_pb2 import ExecTxResult

from pivot.chain.errors import Rejection
from pivot.chain.transaction import Transaction
from pivot.chain.types import Event
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.messages import pack

PLACES = frozenset({"msg_index", "authz_msg_index"})
"""Attributes that are not indexed: nobody searches by a message's place, and an index of it would be a third of all entries."""


def accepted(transaction: Transaction, responses: Sequence[Message], events: Iterable[Event]) -> ExecTxResult:
    """A transaction whose messages have all run."""
    return ExecTxResult(
        data=message_data(responses),
        gas_wanted=wanted(transaction),
        gas_used=transaction.gas,
        events=abci_events(events),
    )


def rejected(refusal: Rejection, transaction: Transaction | None = None, events: Iterable[Event] = ()) -> ExecTxResult:
    """A transaction that was refused; its events are those of its being let in, if it was."""
    return ExecTxResult(
        code=refusal.code,
        codespace=refusal.codespace,
        log=refusal.log,
        gas_wanted=wanted(transaction) if transaction else 0,
        gas_used=transaction.gas if transaction else 0,
        events=abci_events(events),
    )


def simulated(transaction: Transaction, responses: Sequence[Message], events: Iterable[Event]) -> SimulateResponse:
    """What a transaction would do."""
    return SimulateResponse(
        gas_info=GasInfo(gas_wanted=transaction.gas_limit, gas_used=transaction.gas),
        result=Result(
            data=message_data(responses),
            events=abci_events(events),
            msg_responses=[pack(response) for response in responses],
        ),
    )


def wanted(transaction: Transaction) -> int:
    """The gas limit, as far as the engine's signed number holds it; what it takes, if no limit is named."""
    return min(transaction.gas_limit or transaction.gas, MAX_INT64)


def message_data(responses: Sequence[Message]) -> bytes:
    """The responses to a transaction's messages, as clients decode them from its `data`."""
    data = TxMsgData(msg_responses=[pack(response) for response in responses])
    return bytes(data.SerializeToString(deterministic=True))


def abci_events(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events for the engine, each as the fields of its message, which is made where it stands.

    A message that is put into another one is copied: that would take twice as long.
    """
    return [
        {
            "type": event.type,
            "attributes": [{"key": key, "value": value, "index": key not in PLACES} for key, value in event.attributes],
        }
        for event in events
    ]
