"""`abci_query`: the engine's clients ask the application here.

    /package.Service/Method   a line of the query table; request and response are its protobuf messages
    /store/<name>/key         one row, with its proof against the app hash if `prove` is set
    /cosmos.tx.v1beta1.Service/Simulate
                              a transaction is tried out and forgotten: gas_info, and in result the events and the messages'
                              responses. It needs no good signature, fee or gas limit; sequence and time-out must be right.
    /app/version              text

Only the last committed height can be asked for. A row with its proof is for the thread that commits, so that both are of
one height; everything else may be asked in any thread.
"""

from importlib.metadata import version
from typing import TypeVar

from cosmos.tx.v1beta1.service_pb2 import SimulateRequest
from cosmos.tx.v1beta1.tx_pb2 import Tx, TxRaw
from google.protobuf.message import DecodeError, Message
from tendermint.abci.types_pb2 import RequestQuery, ResponseQuery

from pivot.chain.ante import process_simulated_ante
from pivot.chain.block import process_messages
from pivot.chain.errors import Rejection, SdkCode, SdkError, absence_log, tells_absence
from pivot.chain.modules.params import state as params
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.results import simulated
from pivot.chain.store.errors import UnknownStore
from pivot.chain.store.interface import Store
from pivot.chain.transaction import decode_transaction
from pivot.chain.types import Block

Asked = TypeVar("Asked", bound=Message)


def answer_query(store: Store, request: RequestQuery) -> ResponseQuery:
    """The answer to one query, or the refusal of it."""
    try:
        return _answer(store, request)
    except Rejection as refusal:
        log = absence_log(refusal.log) if tells_absence(refusal) else refusal.log
        return ResponseQuery(code=refusal.code, codespace=refusal.codespace, log=log, height=store.height)


def _answer(store: Store, request: RequestQuery) -> ResponseQuery:
    path = request.path.strip("/")
    match path.split("/"):
        case ["store", name, "key"]:
            return _row(store, name, request)
        case ["cosmos.tx.v1beta1.Service", "Simulate"]:
            return _simulate(store, _asked(SimulateRequest, request.data))
        case ["app", "version"]:
            return ResponseQuery(value=version("pivot").encode(), height=store.height)
    handler = QUERIES.find(f"/{path}")
    if handler is None:
        raise SdkError(SdkCode.UNKNOWN_REQUEST, f"unknown query path {request.path[:200]!r}")
    with store.view() as snapshot:
        _require_height(request, snapshot.height)
        answer = handler.answer(params.view_of(snapshot), _asked(handler.request, request.data))
        return ResponseQuery(value=answer.SerializeToString(deterministic=True), height=snapshot.height)


def _asked(kind: type[Asked], raw: bytes) -> Asked:
    """A query's request. Fields that it does not have are passed over, as in gRPC: clients may be newer than this chain."""
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise SdkError(SdkCode.TX_DECODE, f"{kind.DESCRIPTOR.full_name} cannot be decoded") from None


def _row(store: Store, name: str, request: RequestQuery) -> ResponseQuery:
    if not request.data:
        raise SdkError(SdkCode.INVALID_REQUEST, "data: a query of a row needs its key")
    try:
        if not request.prove:
            with store.view() as snapshot:
                _require_height(request, snapshot.height)
                value = snapshot.get(name, request.data)
                return ResponseQuery(key=request.data, value=value or b"", height=snapshot.height)
        _require_height(request, store.height)
        value, proof = store.prove(name, request.data)
    except UnknownStore as error:
        raise SdkError(SdkCode.UNKNOWN_REQUEST, str(error)) from None
    return ResponseQuery(key=request.data, value=value or b"", proof_ops=proof, height=store.height)


def _require_height(request: RequestQuery, height: int) -> None:
    if request.height not in {0, height}:
        raise SdkError(
            SdkCode.INVALID_REQUEST,
            f"height {request.height} is not kept: this node answers for its last block, {height}",
        )


def _simulate(store: Store, request: SimulateRequest) -> ResponseQuery:
    transaction = decode_transaction(request.tx_bytes or _encoded(request.tx), MESSAGES, simulated=True)
    state = store.begin()
    height = store.height
    block = Block(state, params.chain_id(state), height + 1, params.block_time(state), b"")
    process_simulated_ante(block, transaction)
    responses = process_messages(block, transaction)
    answer = simulated(transaction, responses, block.events)
    return ResponseQuery(value=answer.SerializeToString(deterministic=True), height=height)


def _encoded(transaction: Tx) -> bytes:
    """A transaction that came in parts, as older clients send it."""
    raw = TxRaw(
        body_bytes=transaction.body.SerializeToString(),
        auth_info_bytes=transaction.auth_info.SerializeToString(),
        signatures=transaction.signatures,
    )
    return bytes(raw.SerializeToString(deterministic=True))
