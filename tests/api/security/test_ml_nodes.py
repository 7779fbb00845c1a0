"""An ML node that says anything at all costs its host a bounded amount of memory, and the developer gets a clear error."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.api.fleet.client import MlNodeClient, MlNodeRefused
from pivot.api.inference import engine
from pivot.api.settings import HttpSettings
from pivot.api.tls import session_to_ml_nodes
from tests.api.inference.engine import entry
from tests.api.inference.network import Network, Reply

ASKED = 8
"""Tokens of a question in these tests."""
USAGE = {"prompt_tokens": 4, "completion_tokens": 1}
ANSWER = orjson.dumps({"id": "e", "choices": [{"index": 0, "message": {"content": "x"}}], "usage": USAGE})
Say = Callable[[web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def liar(network: Network, content_type: str, say: Say, **headers: str) -> AsyncIterator[list[bool]]:
    """All hosts' ML nodes say this. Whether each answer was cut off by the host that had asked."""
    cut_off: list[bool] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": content_type, **headers})
        await response.prepare(request)
        try:
            await say(response)
            cut_off.append(False)
        except (ConnectionError, asyncio.CancelledError):
            cut_off.append(True)
            raise
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    honest = [host.engine.url for host in network.hosts]
    for host in network.hosts:
        host.engine.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield cut_off
    for host, url in zip(network.hosts, honest, strict=True):
        host.engine.url = url
    await runner.cleanup()


def chunk(number: int, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": "x"}, "logprobs": {"content": [entry("x", number)]}, "token_ids": [7]}
    return b"data: " + orjson.dumps({"id": "e", "choices": [choice], **fields}) + b"\n\n"


async def ask(network: Network, *, stream: bool) -> Reply:
    async with asyncio.timeout(20):
        return await network.post(network.hosts[0], network.body(stream=stream or None))


async def require_others_are_served(network: Network) -> None:
    for host in network.hosts:
        host.fleet.lost.clear()
    assert (await ask(network, stream=False)).status == 200


async def test_an_answer_without_an_end_is_cut_off(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BYTES_BESIDE_TOKENS", 2**16)
    written = 0

    async def say(response: web.StreamResponse) -> None:
        nonlocal written
        while True:
            await response.write(b" " * 65_536)
            written += 65_536

    async with liar(network, "application/json", say) as cut_off:
        refused = await ask(network, stream=False)
        assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
    assert all(cut_off)
    assert written < 64 * 2**20
    await require_others_are_served(network)


async def test_a_stream_without_an_end_ends_with_an_error_and_is_settled_for_what_was_asked(network: Network) -> None:
    async def say(response: web.StreamResponse) -> None:
        number = 0
        while True:
            await response.write(chunk(number))
            number += 1

    async with liar(network, "text/event-stream", say):
        reply = await ask(network, stream=True)
    last = reply.raw.rstrip().rpartition(b"data: ")[2]
    assert orjson.loads(last)["error"]["code"] == "node_failed"
    assert len(reply.raw) < 2**20
    finishes = [finish for host in network.hosts for finish in await host.settled()]
    assert [finish.completion_token_count for finish in finishes] == [ASKED]


@pytest.mark.parametrize("said", [b"data: " + b"x" * 65_536, b": quiet\n\n" * 8_192])
async def test_a_stream_that_holds_no_events_is_cut_off(
    network: Network, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(engine, "BYTES_BESIDE_TOKENS", 2**16)

    async def say(response: web.StreamResponse) -> None:
        while True:
            await response.write(said)

    async with liar(network, "text/event-stream", say):
        reply = await ask(network, stream=True)
    assert b'"error"' in reply.raw
    assert len(reply.raw) < 65_536
    await require_others_are_served(network)


async def test_bytes_without_events_are_a_stream_that_stalls(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STALL_SECONDS", 0.3)

    async def say(response: web.StreamResponse) -> None:
        for number in range(3):
            await response.write(chunk(number))
        while True:
            await response.write(b": I live\n\n")
            await asyncio.sleep(0.02)

    async with liar(network, "text/event-stream", say) as cut_off:
        reply = await ask(network, stream=True)
        await asyncio.sleep(0.1)
    assert cut_off == [True]
    assert orjson.loads(reply.raw.rstrip().rpartition(b"data: ")[2])["error"]["code"] == "node_failed"
    finishes = [finish for host in network.hosts for finish in await host.settled()]
    assert [finish.completion_token_count for finish in finishes] == [3]
    await require_others_are_served(network)


LIES = [
    {"prompt_tokens": 4, "completion_tokens": 10**12},
    {"prompt_tokens": 10**15, "completion_tokens": 1},
    {"prompt_tokens": 4, "completion_tokens": -6},
    {"prompt_tokens": 4, "completion_tokens": "six"},
    {"prompt_tokens": 4.5, "completion_tokens": 6},
    "all of it",
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_usage_that_cannot_be_is_no_answer(network: Network, lie: Any, stream: bool) -> None:
    told = orjson.dumps({"id": "e", "choices": [{"index": 0, "message": {"content": "x"}}], "usage": lie})

    async def say(response: web.StreamResponse) -> None:
        if not stream:
            await response.write(told)
            return
        await response.write(chunk(0))
        await response.write(
            b"data: " + orjson.dumps({"id": "e", "choices": [], "usage": lie}) + b"\n\ndata: [DONE]\n\n"
        )

    async with liar(network, "text/event-stream" if stream else "application/json", say):
        reply = await ask(network, stream=stream)
    finishes = [finish for host in network.hosts for finish in await host.settled()]
    if stream:
        assert b"node_failed" in reply.raw
        assert [finish.completion_token_count for finish in finishes] == [1]
    else:
        assert reply.status == 503
        assert finishes == []


@pytest.mark.parametrize("packed", [gzip.compress(ANSWER), gzip.compress(b" " * 2**28)], ids=["an answer", "a bomb"])
async def test_nothing_that_an_ml_node_has_packed_is_unpacked(network: Network, packed: bytes) -> None:
    """A megabyte on the wire would be a gigabyte in memory, before anybody could count it."""

    async def say(response: web.StreamResponse) -> None:
        await response.write(packed)

    async with liar(network, "application/json", say, **{"Content-Encoding": "gzip"}):
        refused = await ask(network, stream=False)
    assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
    await require_others_are_served(network)


async def test_nothing_that_an_ml_nodes_management_has_packed_is_unpacked() -> None:
    asked: list[str | None] = []

    async def state(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Accept-Encoding"))
        return web.Response(body=gzip.compress(b'{"state": "STOPPED"}'), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/api/v1/state", state)
    async with TestServer(app) as server, session_to_ml_nodes(HttpSettings()) as http:
        url = str(server.make_url("")).rstrip("/")
        with pytest.raises(MlNodeRefused, match="something else than JSON"):
            await MlNodeClient(http, url, url).state()
    assert asked == ["identity"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_usage_that_could_be_and_is_not_is_put_right(network: Network, stream: bool) -> None:
    """What was named counts, for the bill and for the developer: checkers count the tokens, too."""
    lie = {"prompt_tokens": 900, "completion_tokens": ASKED, "total_tokens": 900 + ASKED}
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": {"content": [entry("x", 0)]}, "token_ids": [7]}
    told = {"id": "e", "choices": [choice], "prompt_token_ids": [1, 2, 3], "usage": lie}

    async def say(response: web.StreamResponse) -> None:
        if not stream:
            await response.write(orjson.dumps(told))
            return
        await response.write(chunk(0, prompt_token_ids=[1, 2, 3]))
        await response.write(
            b"data: " + orjson.dumps({"id": "e", "choices": [], "usage": lie}) + b"\n\ndata: [DONE]\n\n"
        )

    body = network.body(stream=stream or None, stream_options={"include_usage": True} if stream else None)
    async with liar(network, "text/event-stream" if stream else "application/json", say):
        reply = await network.post(network.hosts[0], body)
    assert reply.status == 200
    usage = reply.events[-1]["usage"] if stream else reply.json["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    [finish] = [finish for host in network.hosts for finish in await host.settled()]
    assert (finish.prompt_token_count, finish.completion_token_count) == (3, 1)
