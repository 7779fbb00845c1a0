"""The public port before the node has begun, while it serves, and once it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from starlette.responses import JSONResponse, StreamingResponse

from pivot.api.http.front import Front
from pivot.api.metrics.traffic import Traffic
from pivot.api.readiness.checks import NOT_BEGUN, Readiness
from tests.api.serving import serving

SLOW = "/v1/slow"


class App:
    """Streams two events on SLOW, the second one when it is let."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != SLOW:
            await JSONResponse({"path": scope["path"]}, 404)(scope, receive, send)
            return

        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await self.go_on.wait()
            yield b"data: 2\n\n"

        headers = {"x-pivot-overhead-ms": "0.70", "content-type": "text/event-stream"}
        await StreamingResponse(events(), headers=headers)(scope, receive, send)


class Port:
    def __init__(self) -> None:
        self.traffic, self.readiness, self.app = Traffic(), Readiness(), App()
        self.front = Front(self.traffic, self.readiness)
        self.url = ""
        self.http = aiohttp.ClientSession()

    def open(self) -> None:
        self.front.open(self.app, frozenset({SLOW}))
        self.readiness.begun = True

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, orjson.loads(await answer.read())

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[aiohttp.StreamReader]:
        """A stream of which the first event has come."""
        async with self.http.get(self.url + SLOW) as answer:
            assert await answer.content.readline() == b"data: 1\n"
            yield answer.content


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    async with serving(port.front) as port.url, port.http:
        yield port


async def test_a_process_that_waits_for_its_chain_lives_and_is_not_ready(port: Port) -> None:
    assert await port.get("/healthz") == (200, {"status": "ok"})
    assert await port.get("/readyz") == (503, {"ready": False, "reasons": [NOT_BEGUN]})
    status, answer = await port.get("/v1/models")
    assert (status, answer["error"]["message"]) == (503, NOT_BEGUN)


async def test_what_must_hold_is_told_when_it_does_not(port: Port) -> None:
    port.open()
    assert await port.get("/readyz") == (200, {"ready": True, "reasons": []})

    async def chain_is_away() -> str:
        return "no new block for 70 s"

    port.readiness.require(chain_is_away)
    assert await port.get("/readyz") == (503, {"ready": False, "reasons": ["no new block for 70 s"]})


async def test_a_node_that_ends_takes_nothing_new_and_lets_a_running_stream_end(port: Port) -> None:
    port.open()
    async with port.stream() as stream:
        draining = asyncio.create_task(port.front.drain(30))
        await asyncio.sleep(0)
        async with port.http.get(port.url + "/v1/models", headers={"X-Request-Id": "mine"}) as refused:
            assert refused.status == 503
            assert (refused.headers["x-request-id"], refused.headers["access-control-allow-origin"]) == ("mine", "*")
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["connection"] == "close"
        assert (await port.get("/readyz"))[1]["reasons"] == ["this node ends"]
        assert (await port.get("/healthz"))[0] == 200
        assert not draining.done()
        port.app.go_on.set()
        assert b"data: 2" in await stream.read()
    assert await draining == 0


async def test_a_stream_without_an_end_does_not_keep_a_node_from_ending(port: Port) -> None:
    port.open()
    async with port.stream():
        assert await port.front.drain(0.05) == 1
        port.app.go_on.set()


async def test_answers_are_counted_by_route_and_strangers_make_no_names(port: Port) -> None:
    port.open()
    port.app.go_on.set()
    async with port.stream() as stream:
        await stream.read()
    for path in ("/one", "/two"):
        await port.get(path)
    async with port.http.request("PURGE", port.url + "/three") as answer:
        assert answer.status == 404
    await asyncio.sleep(0.01)
    assert port.traffic.requests == {("GET", SLOW, 200): 1, ("GET", "none", 404): 2, ("other", "none", 404): 1}
    assert port.traffic.under_way == 0


async def test_latency_and_first_token_of_a_stream_are_noted(port: Port) -> None:
    port.open()
    port.app.go_on.set()
    async with port.stream() as stream:
        await stream.read()
    assert dict(port.traffic.added_latency.buckets())["0.001"] == 1
    assert port.traffic.added_latency.sum == pytest.approx(0.0007)
    assert port.traffic.first_token.buckets()[-1] == ("+Inf", 1)
