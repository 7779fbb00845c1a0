"""The engine's events through the public port, and what nobody gets of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from fastapi import FastAPI

from pivot.api.http import chain_events
from pivot.api.http.chain_events import EVENTS_PATH
from pivot.api.http.chain_proxy import ChainProxy
from pivot.api.http.front import Front
from pivot.api.http.public import _answer_errors
from pivot.api.http.quotas import PerAddress
from pivot.api.listening import MAX_WEBSOCKET_MESSAGE_BYTES, Listener, bind
from pivot.api.metrics.traffic import Traffic
from pivot.api.readiness.checks import Readiness
from pivot.api.settings import ApiSettings, ChainNodeSettings

BLOCKS = "tm.event = 'NewBlock'"
Socket = aiohttp.ClientWebSocketResponse


class Engine:
    """Answers each call with its method and parameters; tells of an event when it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.sockets: list[web.WebSocketResponse] = []
        self.gone = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Engine"]:
        app = web.Application()
        app.router.add_get("/websocket", self._websocket)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield self
        await self.end()
        await runner.cleanup()

    async def end(self) -> None:
        for socket in self.sockets:
            await socket.close()

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            call = orjson.loads(message.data)
            result = {"method": call["method"], "params": call.get("params")}
            await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "result": result})
        self.gone.set()
        return socket


class Port:
    """The public port, as a node has it, in front of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.settings = ApiSettings(chain_node=ChainNodeSettings(url=engine.url))
        self.traffic, self.readiness = Traffic(), Readiness()
        self.front = Front(self.traffic, self.readiness)
        self.url = ""
        self.http: aiohttp.ClientSession
        self.listener: Listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Port"]:
        async with aiohttp.ClientSession() as self.http:
            app = FastAPI()
            app.include_router(ChainProxy(self.http, self.settings).router)
            _answer_errors(app)
            self.front.open(app, frozenset({EVENTS_PATH}))
            self.readiness.begun = True
            bound = bind("127.0.0.1", 0, "the port")
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            self.listener = Listener(PerAddress(self.front, self.settings.api), bound, websocket_path=EVENTS_PATH)
            await self.listener.start()
            yield self
            await self.listener.close()

    def socket(self, **headers: str) -> Any:
        return self.http.ws_connect(self.url + EVENTS_PATH, headers=headers)

    async def refused(self, path: str = EVENTS_PATH, **headers: str) -> tuple[int, str]:
        """The answer to one who wants a websocket and gets none."""
        asked = {"Upgrade": "websocket", "Connection": "upgrade", **headers}
        asked |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        async with self.http.get(self.url + path, headers=asked) as answer:
            document = orjson.loads(await answer.read())
            return answer.status, document["error"]["message"] if "error" in document else str(document)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with Engine().running() as engine, Port(engine).running() as port:
        yield port


def call(method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params, **more}


def subscription(query: str = BLOCKS) -> dict[str, Any]:
    return call("subscribe", {"query": query})


async def answer_to(socket: Socket, asked: Any) -> Any:
    await socket.send_json(asked)
    return await socket.receive_json(timeout=20)


async def closing(socket: Socket) -> tuple[Any, str | None]:
    message = await socket.receive(timeout=20)
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return message.data, message.extra


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_calls_are_answered_and_events_told(port: Port) -> None:
    async with port.socket() as socket:
        told = await answer_to(socket, call("status"))
        assert (told["id"], told["result"]["method"]) == (7, "status")
        assert (await answer_to(socket, subscription()))["result"]["params"] == {"query": BLOCKS}
        assert (await answer_to(socket, call("subscribe", ["tm.event = 'Tx'"])))["result"]["method"] == "subscribe"
        await port.engine.sockets[0].send_json({"id": 7, "result": {"query": BLOCKS, "data": {"value": 1}}})
        assert (await socket.receive_json(timeout=20))["result"]["data"] == {"value": 1}
    await asyncio.wait_for(port.engine.gone.wait(), 20)
    await until(lambda: port.traffic.requests["GET", EVENTS_PATH, 101] == 1)


@pytest.mark.parametrize(
    "asked",
    [
        call("dump_consensus_state"),
        call("broadcast_tx_commit"),
        call("status", METHOD="unsafe_flush_mempool"),
        [call("status")],
        {"id": 7},
        call("subscribe", {"query": "x" * 513}),
        call("subscribe"),
        call("unsubscribe", []),
        7,
    ],
)
async def test_what_is_not_passed_on_is_refused_and_the_rest_goes_on(port: Port, asked: Any) -> None:
    async with port.socket() as socket:
        told = await answer_to(socket, asked)
        assert told["error"]["code"] == chain_events.INVALID_REQUEST
        assert told["id"] == (7 if isinstance(asked, dict) else None)
        assert (await answer_to(socket, call("health")))["result"]["method"] == "health"


async def test_what_is_no_json_is_refused(port: Port) -> None:
    async with port.socket() as socket:
        await socket.send_str("{")
        assert "is no JSON" in (await socket.receive_json(timeout=20))["error"]["message"]


async def test_a_connection_has_so_many_subscriptions(port: Port) -> None:
    async with port.socket() as socket:
        queries = [f"tx.height = {number}" for number in range(chain_events.MAX_SUBSCRIPTIONS + 1)]
        for query in [*queries[:-1], queries[0]]:
            assert "result" in await answer_to(socket, subscription(query))
        assert "at most 5 subscriptions" in (await answer_to(socket, subscription(queries[-1])))["error"]["message"]
        assert "result" in await answer_to(socket, call("unsubscribe", {"query": queries[0]}))
        assert "result" in await answer_to(socket, subscription(queries[-1]))
        assert "error" in await answer_to(socket, subscription(queries[0]))
        assert "result" in await answer_to(socket, call("unsubscribe_all"))
        assert "result" in await answer_to(socket, subscription(queries[0]))


async def test_an_address_has_so_many_connections(port: Port) -> None:
    asker = {"X-Forwarded-For": "8.8.8.8"}
    async with AsyncExitStack() as stack:
        for _ in range(chain_events.MAX_OF_ADDRESS):
            await stack.enter_async_context(port.socket(**asker))
        assert await port.refused(**asker) == (429, "8.8.8.8 has 4 websockets open, and may have no more")
        await stack.enter_async_context(port.socket(**{"X-Forwarded-For": "9.9.9.9"}))
    await until(lambda: len(port.engine.sockets) == 5 and all(socket.closed for socket in port.engine.sockets))
    async with port.socket(**asker):
        pass


async def test_all_together_have_so_many_connections(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_events, "MAX_CONNECTIONS", 2)
    async with port.socket(), port.socket():
        status, sentence = await port.refused()
        assert (status, "2 websockets" in sentence) == (429, True)


async def test_calls_count_among_the_requests_a_minute(port: Port) -> None:
    port.settings.api.chain_requests_per_minute = 2
    async with port.socket() as socket:
        assert "result" in await answer_to(socket, call("status"))
        assert "2 requests a minute" in (await answer_to(socket, call("status")))["error"]["message"]
    assert (await port.refused())[0] == 429
    port.settings.api.chain_requests_per_minute = 0
    assert (await port.refused())[0] == 403


async def test_a_client_that_says_nothing_is_let_go(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_events, "IDLE_SECONDS", 0.4)
    async with port.socket() as socket:
        for _ in range(4):
            await asyncio.sleep(0.2)
            await answer_to(socket, call("health"))
        assert await closing(socket) == (1000, "nothing was said for a long time")
    await asyncio.wait_for(port.engine.gone.wait(), 20)


async def test_a_client_gets_so_many_bytes_a_minute(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_events, "MAX_BYTES_A_MINUTE", 1_000)
    async with port.socket() as socket:
        await until(lambda: bool(port.engine.sockets))
        await port.engine.sockets[0].send_str('"' + "x" * 700 + '"')
        assert len(await socket.receive_str(timeout=20)) == 702
        await port.engine.sockets[0].send_str('"' + "x" * 700 + '"')
        assert await closing(socket) == (1008, "more than 1000 bytes in a minute")


async def test_a_client_that_takes_nothing_is_let_go(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivot.api.listening.WRITE_SECONDS", 0.2)
    async with port.socket() as socket:
        await until(lambda: bool(port.engine.sockets))
        assert socket._response.connection is not None
        socket._response.connection.transport.pause_reading()
        text = '"' + "x" * 2**20 + '"'

        async def tell_for_ever() -> None:
            while True:
                await port.engine.sockets[0].send_str(text)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(tell_for_ever(), 20)


async def test_a_message_that_is_too_long_ends_the_connection(port: Port) -> None:
    async with port.socket() as socket:
        await socket.send_str("x" * (MAX_WEBSOCKET_MESSAGE_BYTES + 1))
        assert (await closing(socket))[0] == 1009


async def test_bytes_are_no_calls(port: Port) -> None:
    async with port.socket() as socket:
        await socket.send_bytes(b"{}")
        assert await closing(socket) == (1003, "calls are text")


async def test_an_engine_that_ends_or_is_away_is_told(port: Port) -> None:
    async with port.socket() as socket:
        await until(lambda: bool(port.engine.sockets))
        await port.engine.end()
        assert await closing(socket) == (1001, "the chain node has ended the connection")
    async with Engine().running() as gone:
        pass
    async with Port(gone).running() as lonely:
        assert await lonely.refused() == (503, "the chain node does not answer")


async def test_a_node_that_ends_waits_for_no_websocket(port: Port) -> None:
    async with port.socket() as socket:
        assert await port.front.drain(30) == 0
        assert await port.refused() == (503, "this node ends; ask another one")
        ending = asyncio.create_task(port.listener.close())
        assert (await closing(socket))[0] == 1012
        await asyncio.wait_for(ending, 20)


async def test_a_websocket_is_spoken_at_its_path_alone(port: Port) -> None:
    for path, status in (("/v1/status", 404), (EVENTS_PATH + "/", 403)):
        assert (await port.refused(path))[0] == status  # answered as if no websocket had been asked for
    async with port.http.get(port.url + EVENTS_PATH) as answer:
        assert answer.status == 403


async def test_an_address_with_too_many_requests_gets_no_websocket(port: Port) -> None:
    port.settings.api.address_requests_per_minute = 1
    asker = {"X-Forwarded-For": "8.8.8.8"}
    async with port.socket(**asker):
        pass
    status, sentence = await port.refused(**asker)
    assert (status, "1 requests a minute" in sentence) == (429, True)


async def test_a_connection_that_has_become_a_websocket_is_not_waited_for_as_a_head(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.api.listening.HEAD_SECONDS", 0.2)
    async with port.socket() as socket:
        await asyncio.sleep(0.6)
        assert "result" in await answer_to(socket, call("health"))
