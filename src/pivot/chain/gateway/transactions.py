"""`cosmos.tx.v1beta1.Service`: send a transaction, try one out, find those that are in blocks.

The two methods for the binary form of amino are left out: transactions travel in protobuf alone.
"""

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.base.abci.v1beta1.abci_pb2 import TxResponse
from cosmos.base.tendermint.v1beta1.query_pb2 import GetBlockByHeightRequest
from cosmos.tx.v1beta1 import service_pb2
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Tx, TxBody, TxRaw
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from tendermint.abci.types_pb2 import Event, EventAttribute

from pivot.chain.gateway.blocks import Blocks
from pivot.chain.gateway.engine import Engine, EngineRefusal
from pivot.chain.gateway.methods import Method, engine_methods
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.transaction import MAX_TRANSACTION_BYTES
from pivot.protocol.messages import pack
from pivot.protocol.transactions import transaction_hash

SERVICE = service_pb2.DESCRIPTOR.services_by_name["Service"]
SIMULATE_PATH = f"/{SERVICE.full_name}/Simulate"
DEFAULT_PAGE_SIZE = 30
MAX_PAGE_SIZE = 100
_HASH = re.compile(r"(0x)?[0-9A-Fa-f]{64}")
_EVENT = re.compile(r"[a-zA-Z_][\w.]*\s*(=|<=|>=|<|>|CONTAINS|EXISTS)\s*.*", re.DOTALL)


def transaction_methods(engine: Engine) -> list[Method]:
    """The methods of the service."""
    transactions = Transactions(engine)
    handlers: dict[str, Callable[[Any], Awaitable[Message]]] = {
        "Simulate": transactions.simulate,
        "BroadcastTx": transactions.broadcast,
        "GetTx": transactions.get,
        "GetTxsEvent": transactions.search,
        "GetBlockWithTxs": transactions.of_block,
        "TxDecode": transactions.decode,
        "TxEncode": transactions.encode,
    }
    return engine_methods(SERVICE, handlers)


class Transactions:
    """One method per method of the service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._blocks = Blocks(engine)

    async def simulate(self, request: service_pb2.SimulateRequest) -> service_pb2.SimulateResponse:
        value = await self._engine.query_application(SIMULATE_PATH, request.SerializeToString())
        return service_pb2.SimulateResponse.FromString(value)

    async def broadcast(self, request: service_pb2.BroadcastTxRequest) -> service_pb2.BroadcastTxResponse:
        if not request.tx_bytes:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "invalid empty tx")
        if len(request.tx_bytes) > MAX_TRANSACTION_BYTES:
            raise Refusal(StatusCode.INVALID_ARGUMENT, f"a transaction has at most {MAX_TRANSACTION_BYTES} bytes")
        if request.mode == service_pb2.BROADCAST_MODE_BLOCK:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "unsupported return type block; supported types: sync, async")
        waits = request.mode != service_pb2.BROADCAST_MODE_ASYNC
        method = "broadcast_tx_sync" if waits else "broadcast_tx_async"
        try:
            told = await self._engine.call(method, {"tx": base64.b64encode(request.tx_bytes).decode()})
        except EngineRefusal as refusal:
            if "already exists in cache" not in refusal.details:
                raise
            told = {"code": 19, "codespace": "sdk", "log": "tx already in mempool"}
        response = TxResponse(
            txhash=told.get("hash") or transaction_hash(request.tx_bytes),
            code=told.get("code", 0),
            codespace=told.get("codespace", ""),
            raw_log=told.get("log", ""),
        )
        return service_pb2.BroadcastTxResponse(tx_response=response)

    async def get(self, request: service_pb2.GetTxRequest) -> service_pb2.GetTxResponse:
        if not _HASH.fullmatch(request.hash):
            raise Refusal(StatusCode.INVALID_ARGUMENT, f"{request.hash[:80]!r} is not the hash of a transaction")
        raw = base64.b64encode(bytes.fromhex(request.hash.removeprefix("0x"))).decode()
        try:
            told = await self._engine.call("tx", {"hash": raw})
        except EngineRefusal as refusal:
            raise Refusal(StatusCode.NOT_FOUND, f"tx not found: {request.hash}") from refusal
        response = await self._response(told)
        return service_pb2.GetTxResponse(tx=_transaction(told), tx_response=response)

    async def search(self, request: service_pb2.GetTxsEventRequest) -> service_pb2.GetTxsEventResponse:
        query = request.query or " AND ".join(request.events)
        if not query or not all(_EVENT.fullmatch(part.strip()) for part in query.split(" AND ")):
            raise Refusal(StatusCode.INVALID_ARGUMENT, "query must be conditions like message.sender='…' joined by AND")
        size = min(request.limit or request.pagination.limit or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        page = request.page or request.pagination.offset // size + 1
        order = "desc" if request.order_by == service_pb2.ORDER_BY_DESC else "asc"
        parameters = {"query": query, "page": str(page), "per_page": str(size), "order_by": order}
        told = await self._engine.call("tx_search", parameters)
        total = int(told["total_count"])
        return service_pb2.GetTxsEventResponse(
            txs=[_transaction(each) for each in told["txs"]],
            tx_responses=[await self._response(each) for each in told["txs"]],
            pagination={"total": total},
            total=total,
        )

    async def of_block(self, request: service_pb2.GetBlockWithTxsRequest) -> service_pb2.GetBlockWithTxsResponse:
        """A block, and a page of its transactions; backwards from the last one if it is asked for in reverse."""
        if request.height < 1:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "height must not be less than 1")
        found = await self._blocks.block_by_height(GetBlockByHeightRequest(height=request.height))
        page, raw = request.pagination, found.block.data.txs
        if page.key:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "pagination.key: the transactions of a block have offsets only")
        if raw and page.offset >= len(raw):
            raise Refusal(StatusCode.INVALID_ARGUMENT, f"pagination.offset: the block has {len(raw)} transactions")
        listed = raw[::-1] if page.reverse else raw
        shown = listed[page.offset : page.offset + min(page.limit or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)]
        return service_pb2.GetBlockWithTxsResponse(
            txs=[_shown(each) for each in shown],
            block_id=found.block_id,
            block=found.block,
            pagination={"total": len(raw)},
        )

    async def decode(self, request: service_pb2.TxDecodeRequest) -> service_pb2.TxDecodeResponse:
        if not request.tx_bytes:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "invalid empty tx bytes")
        try:
            return service_pb2.TxDecodeResponse(tx=_decoded(request.tx_bytes))
        except DecodeError as error:
            raise Refusal(StatusCode.INVALID_ARGUMENT, "tx_bytes: tx parse error") from error

    async def encode(self, request: service_pb2.TxEncodeRequest) -> service_pb2.TxEncodeResponse:
        if not request.HasField("tx"):
            raise Refusal(StatusCode.INVALID_ARGUMENT, "invalid empty tx")
        raw = TxRaw(
            body_bytes=request.tx.body.SerializeToString(deterministic=True),
            auth_info_bytes=request.tx.auth_info.SerializeToString(deterministic=True),
            signatures=request.tx.signatures,
        )
        return service_pb2.TxEncodeResponse(tx_bytes=raw.SerializeToString(deterministic=True))

    async def _response(self, told: Mapping[str, Any]) -> TxResponse:
        result = told["tx_result"]
        data = base64.b64decode(result.get("data") or "")
        return TxResponse(
            height=int(told["height"]),
            txhash=told["hash"],
            codespace=result.get("codespace", ""),
            code=result.get("code", 0),
            data=data.hex().upper(),
            raw_log=result.get("log", ""),
            gas_wanted=int(result.get("gas_wanted", 0)),
            gas_used=int(result.get("gas_used", 0)),
            tx=pack(_transaction(told)),
            timestamp=await self._time(int(told["height"])),
            events=[_event(each) for each in result.get("events") or []],
        )

    async def _time(self, height: int) -> str:
        """Time of a block, RFC 3339, whole seconds."""
        header = (await self._engine.call("header", {"height": str(height)}))["header"]
        return re.sub(r"\.\d+", "", str(header["time"]))


def _transaction(told: Mapping[str, Any]) -> Tx:
    return _shown(base64.b64decode(told["tx"]))


def _shown(raw: bytes) -> Tx:
    """A block's transaction. A block may hold bytes that are none; they have a result, too."""
    try:
        return _decoded(raw)
    except DecodeError:
        return Tx()


def _decoded(raw: bytes) -> Tx:
    outer = TxRaw.FromString(raw)
    return Tx(
        body=TxBody.FromString(outer.body_bytes),
        auth_info=AuthInfo.FromString(outer.auth_info_bytes),
        signatures=outer.signatures,
    )


def _event(told: Mapping[str, Any]) -> Event:
    attributes = [
        EventAttribute(key=each["key"], value=each.get("value") or "", index=bool(each.get("index")))
        for each in told["attributes"]
    ]
    return Event(type=told["type"], attributes=attributes)
