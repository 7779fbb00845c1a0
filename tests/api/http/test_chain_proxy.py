"""The engine's RPC through the public port: what is passed on, and how much of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from fastapi import FastAPI

from pivot.api.http import chain_proxy
from pivot.api.http.chain_calls import MAX_BATCH
from pivot.api.http.chain_proxy import ChainProxy
from pivot.api.http.errors import ApiError
from pivot.api.http.public import _refused
from pivot.api.settings import ApiSettings, ChainNodeSettings, HttpSettings
from tests.api.serving import serving

LONG = b"x" * (chain_proxy.MAX_WHOLE_BYTES + 1)


@dataclass
class Chain:
    """A chain node that notes what it is asked."""

    asked: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        if request.path == "/genesis":
            return web.Response(body=LONG)
        if request.path == "/status":
            await self.go_on.wait()
        return web.json_response({"result": (await request.read()).decode()})


@dataclass
class Port:
    url: str
    http: aiohttp.ClientSession
    chain: Chain
    settings: ApiSettings

    async def get(self, path: str) -> tuple[int, bytes]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.read()

    async def post(self, document: Any) -> tuple[int, bytes]:
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        async with self.http.post(self.url + "/chain-rpc/", data=body) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def chain_node(chain: Chain) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", chain.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    await runner.cleanup()


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    chain = Chain()
    async with chain_node(chain) as url, aiohttp.ClientSession() as http:
        settings = ApiSettings(chain_node=ChainNodeSettings(url=url, rest_url=url), api=HttpSettings())
        app = FastAPI()
        app.include_router(ChainProxy(http, settings).router)
        app.add_exception_handler(ApiError, _refused)
        async with serving(app) as public:
            yield Port(public, http, chain, settings)


def call(method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}


async def test_reading_and_handing_over_a_transaction_are_passed_on(port: Port) -> None:
    assert (await port.get("/chain-rpc/block?height=5"))[0] == 200
    status, answer = await port.post(call("broadcast_tx_sync"))
    assert status == 200
    assert orjson.loads(orjson.loads(answer)["result"])["method"] == "broadcast_tx_sync"
    assert (await port.post([call("tx"), call("block")]))[0] == 200
    assert port.chain.asked == ["GET /block?height=5", "POST /", "POST /"]


@pytest.mark.parametrize("method", ["broadcast_tx_commit", "unsafe_flush_mempool", "dial_peers", "subscribe", ""])
async def test_what_waits_dumps_or_steers_is_not_passed_on(port: Port, method: str) -> None:
    assert (await port.get(f"/chain-rpc/{method}"))[0] == 403
    assert (await port.post(call(method)))[0] == 403
    assert (await port.post([call("tx"), call(method)]))[0] == 403
    assert port.chain.asked == []


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"5", orjson.dumps([call("tx")] * (MAX_BATCH + 1))])
async def test_what_is_no_call_is_malformed(port: Port, body: bytes) -> None:
    assert (await port.post(body))[0] == 400
    assert port.chain.asked == []


async def test_a18_a_path_reaches_no_other_method_or_host(port: Port) -> None:
    for path in (
        "/chain-rpc/block/../unsafe_flush_mempool",
        "/chain-rpc/%62lock",
        "/chain-rpc/block%2F..%2Fdial_peers",
    ):
        async with port.http.get(aiohttp.client.URL(port.url + path, encoded=True)) as answer:
            assert answer.status in {200, 403, 404}
    assert not any("unsafe" in asked or "dial" in asked for asked in port.chain.asked)


async def test_a18_a_post_names_no_other_method_in_its_path(port: Port) -> None:
    for path in (
        "/chain-rpc/dump_consensus_state",
        "/chain-rpc/dial_peers/?peers=[]",
        "/chain-rpc/broadcast_tx_commit",
    ):
        async with port.http.post(port.url + path, data=orjson.dumps(call("block"))) as answer:
            assert answer.status == 403
    assert port.chain.asked == []


@pytest.mark.parametrize("name", ["Method", "METHOD", "method "])
async def test_a18_a_call_names_its_method_in_one_spelling(port: Port, name: str) -> None:
    assert (await port.post({**call("block"), name: "dial_peers"}))[0] == 400
    assert (await port.post([call("block"), {**call("block"), name: "dial_peers"}]))[0] == 400
    assert port.chain.asked == []


async def test_a_long_answer_goes_out_whole(port: Port) -> None:
    for _ in range(2):
        assert await port.get("/chain-rpc/genesis") == (200, LONG)


async def test_requests_at_a_time_are_bounded_and_make_room_when_they_end(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_proxy, "MAX_UNDER_WAY", 1)
    first = asyncio.create_task(port.get("/chain-rpc/status"))
    while not port.chain.asked:
        await asyncio.sleep(0.01)
    status, answer = await port.get("/chain-rpc/block")
    assert status == 429
    assert b"under way" in answer
    port.chain.go_on.set()
    assert (await first)[0] == 200
    for _ in range(3):
        assert (await port.get("/chain-rpc/genesis"))[0] == 200


async def test_requests_a_minute_are_bounded_by_a_setting_that_can_change(port: Port) -> None:
    port.settings.api.chain_requests_per_minute = 2
    assert [(await port.get("/chain-api/x"))[0] for _ in range(3)] == [200, 200, 429]
    port.settings.api.chain_requests_per_minute = 600
    assert (await port.get("/chain-api/x"))[0] == 200
    port.settings.api.chain_requests_per_minute = 0
    assert (await port.get("/chain-api/x"))[0] == 403


async def test_a_chain_node_that_is_away_is_said(port: Port) -> None:
    port.settings.chain_node.url = "http://127.0.0.1:9"
    assert (await port.get("/chain-rpc/block"))[0] == 503
    port.settings.chain_node.url = "http://127.0.0.1:9/"
    assert (await port.get("/chain-rpc/block"))[0] == 503
