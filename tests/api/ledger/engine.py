"""A chain node for tests: the engine's RPC and websocket over real HTTP, a gateway over real gRPC, both in this process."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import orjson
from aiohttp import WSMsgType, web
from google.protobuf.message import Message

CHAIN_ID = "pivot-test"
GENESIS_SECONDS = 1_800_000_000


def header(height: int) -> dict[str, Any]:
    """A header as the engine writes it."""
    digest = hashlib.sha256(str(height).encode()).hexdigest().upper()
    return {
        "version": {"block": "11"},
        "chain_id": CHAIN_ID,
        "height": str(height),
        "time": f"2027-01-15T08:{height // 60 % 60:02d}:{height % 60:02d}.000000123Z",
        "last_block_id": {"hash": digest, "parts": {"total": 1, "hash": digest}},
        **dict.fromkeys(
            ["last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash"],
            digest,
        ),
        "last_results_hash": digest,
        "evidence_hash": digest,
        "proposer_address": digest[:40],
    }


class FakeEngine:
    """Blocks appear when the test says so. `mute` keeps the websocket from telling of them."""

    def __init__(self) -> None:
        self.height = 0
        self.catching_up = False
        self.mute = False
        self.refuse_subscription = False
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {"status": lambda _: self._status()}
        self.sockets: list[web.WebSocketResponse] = []
        self.subscriptions = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; after `stop` on the same port again."""
        app = web.Application()
        app.router.add_post("/", self._rpc)
        app.router.add_get("/websocket", self._websocket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        assert self._runner is not None
        await self.drop()
        await self._runner.cleanup()

    async def drop(self) -> None:
        """Cut every websocket."""
        for socket in list(self.sockets):
            await socket.close()

    async def add_blocks(self, count: int = 1) -> None:
        for _ in range(count):
            self.height += 1
            if not self.mute:
                value = {"type": "tendermint/event/NewBlockHeader", "value": {"header": header(self.height)}}
                for socket in list(self.sockets):
                    await socket.send_json({"jsonrpc": "2.0", "id": 1, "result": {"query": "…", "data": value}})

    def _status(self) -> dict[str, Any]:
        latest = header(self.height)
        return {
            "node_info": {"network": CHAIN_ID, "id": "ab" * 20, "moniker": "test"},
            "sync_info": {
                "latest_block_hash": "AA" * 32,
                "latest_block_height": latest["height"],
                "latest_block_time": latest["time"],
                "catching_up": self.catching_up,
            },
            "validator_info": {
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(b"k" * 32).decode()}
            },
        }

    async def _rpc(self, request: web.Request) -> web.Response:
        call = orjson.loads(await request.read())
        self.asked.append(call["method"])
        try:
            result = self.answers[call["method"]](call["params"])
        except EngineError as error:
            document = {
                "jsonrpc": "2.0",
                "id": 1,
                "error": {"code": -32603, "message": "Internal error", "data": str(error)},
            }
        else:
            document = {"jsonrpc": "2.0", "id": 1, "result": result}
        return web.json_response(document)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if self.refuse_subscription:
                    await socket.send_json(
                        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "data": "max_subscriptions"}}
                    )
                    continue
                assert orjson.loads(message.data)["params"]["query"] == "tm.event='NewBlockHeader'"
                self.sockets.append(socket)
                self.subscriptions += 1
                await socket.send_json({"jsonrpc": "2.0", "id": 1, "result": {}})
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket


class EngineError(Exception):
    """The engine's sentence for an error."""


class GatewayRefusal(Exception):
    """A gRPC status that the gateway answers with."""

    def __init__(self, code: grpc.StatusCode, details: str = "refused") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class FakeGateway(grpc.GenericRpcHandler):
    """gRPC methods by path, each a request type and an answering function; `asked` counts them."""

    def __init__(self) -> None:
        self.methods: dict[str, tuple[type[Message], Callable[[Any], Message]]] = {}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, path: str, request: type[Message], function: Callable[[Any], Message]) -> None:
        self.methods[path] = (request, function)

    async def serve(self) -> grpc.aio.Server:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self,))
        self.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = handler_call_details.method
        if path not in self.methods:
            return None
        request_type, function = self.methods[path]

        async def handle(request: Message, context: grpc.aio.ServicerContext) -> Message:
            self.asked.append(path)
            try:
                return function(request)
            except GatewayRefusal as refusal:
                await context.abort(refusal.code, refusal.details)
                raise AssertionError from refusal

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request_type.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
