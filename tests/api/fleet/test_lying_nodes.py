"""An ML node that says anything at all on its management port: it leaves rotation, costs little, and others go on."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import aiohttp.web
import pytest

from pivot.api.fleet import client as client_module
from pivot.api.fleet import reconciler as reconciler_module
from pivot.api.fleet.client import MAX_ANSWER_BYTES, MlNodeClient, MlNodeError, MlNodeRefused
from pivot.api.fleet.interface import Serve
from pivot.protocol.mlnode_api import MAX_ERROR_LENGTH, Mode
from tests.api.fleet.chain import until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.fleet.test_reconciler import Desk, care

Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def saying(say: Say) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that says this to everybody. Its address, and how many bytes each connection took."""
    taken: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(taken)
        taken.append(0)
        write = writer.write

        def counted(data: bytes) -> None:
            write(data)
            taken[place] += len(data)

        writer.write = counted  # type: ignore[assignment,method-assign]
        try:
            await reader.readuntil(b"\r\n\r\n")
            await say(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", taken
    finally:
        server.close()


def whole(body: bytes, *headers: bytes) -> Say:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = b"".join(line + b"\r\n" for line in headers)
        writer.write(HEAD + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return say


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 104857600\r\n\r\n")
    for _chunk in range(1_600):
        writer.write(b" " * 65_536)
        await writer.drain()


async def endless_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"X-More: of the same\r\n" * 1_000)
        await writer.drain()


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n{")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def interim(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def elsewhere(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")


STATES = [
    pytest.param(whole(b"[" * 500_000), id="nested without an end"),
    pytest.param(whole(b'{"state":"' + b"9" * 1_000 + b'"}'), id="no mode"),
    pytest.param(whole(b'{"state":' + b"9" * 10_000 + b"}"), id="a number of ten thousand digits"),
    pytest.param(whole(b'{"state":"INFERENCE","warnings":' + b'["x"' + b',"x"' * 101 + b"]}"), id="too many warnings"),
    pytest.param(whole(gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip"), id="a gzip bomb"),
    pytest.param(whole(b"\xff\xfe\x00"), id="no UTF-8"),
    pytest.param(whole(b"null"), id="nothing"),
    pytest.param(endless, id="100 MB"),
    pytest.param(endless_head, id="headers without an end"),
    pytest.param(dripping, id="drops"),
    pytest.param(interim, id="interim answers without an end"),
    pytest.param(elsewhere, id="a redirect"),
]


@pytest.mark.parametrize("say", STATES)
async def test_whatever_a_node_says_of_its_state_is_an_error_and_costs_little(
    http: aiohttp.ClientSession, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LOOK_TIMEOUT_S", 0.5)
    async with saying(say) as (url, taken):
        with pytest.raises(MlNodeError) as raised:
            await MlNodeClient(http, url, url).state()
        assert len(str(raised.value)) < 1_000
        assert len(taken) == 1  # nobody goes where it points
    assert taken[0] < 16 * MAX_ANSWER_BYTES  # what the system's buffers took is with it


@pytest.mark.parametrize("say", STATES)
async def test_a_node_that_begins_to_talk_nonsense_leaves_rotation_and_comes_back(
    http: aiohttp.ClientSession, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler_module, "LOOK_S", 0.3)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        async with saying(say) as (url, _):
            reconciler.client.management_url = url
            await until(lambda: not reconciler.reachable)
            assert not reconciler.serves("m")
        reconciler.client.management_url = node.url
        await until(lambda: reconciler.serves("m"))
        assert node.calls.count("/api/v1/inference/up") == 1


async def test_a_node_may_say_much_of_a_failure_but_not_all_is_kept(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(up_fails="x" * 100_000, error="y" * 100_000) as node:
        with pytest.raises(MlNodeRefused) as raised:
            await MlNodeClient(http, node.url, node.url).inference_up("m", ())
        assert len(str(raised.value)) < MAX_ERROR_LENGTH + 100
        async with care(http, node, Desk(Serve("m"))) as reconciler:
            await until(lambda: reconciler.failure_reason)
            assert len(reconciler.failure_reason) < MAX_ERROR_LENGTH + 100


async def test_a_node_that_says_something_else_at_every_look_does_not_fill_the_disk(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reconciler_module, "POLL_S", 0.01)
    looks = 0

    async def state(*_: object) -> aiohttp.web.Response:
        nonlocal looks
        looks += 1
        return aiohttp.web.json_response({"state": "STOPPED", "warnings": [f"GPU {looks}/{n}" for n in range(50)]})

    monkeypatch.setattr(FakeMlNode, "_state", state)
    async with FakeMlNode.running() as node, care(http, node, Desk(None)):
        await until(lambda: looks > 5)
    assert caplog.text.count("GPU") == reconciler_module.LOGGED_WARNINGS


async def test_an_engine_that_another_takes_the_place_of_between_two_looks_is_found_out_and_told(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "POLL_S", 0.01)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.model = "other"
        await until(lambda: node.model == "m")
        await until(lambda: reconciler.serves("m"))
        assert node.calls.count("/api/v1/inference/up") == 2


async def test_a_failed_request_has_the_node_asked_again_what_it_serves(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.model = "other"
        reconciler.doubt()
        reconciler.wake()
        await until(lambda: node.model == "m")
        await until(lambda: reconciler.serves("m"))


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRAIN, Mode.POW])
async def test_a_node_that_lies_about_its_mode_is_told_ever_more_rarely_and_lent_to_nobody(
    http: aiohttp.ClientSession, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "POLL_S", 0.02)
    monkeypatch.setattr(reconciler_module, "FIRST_PAUSE_S", 0.05)

    async def lie(*_: object) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"state": mode, "status": "IDLE"})

    monkeypatch.setattr(FakeMlNode, "_state", lie)
    monkeypatch.setattr(FakeMlNode, "_status", lie)
    monkeypatch.setattr(FakeMlNode, "_train_status", lie)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await asyncio.sleep(0.5)
        assert not reconciler.serves("m")
        assert 1 <= node.calls.count("/api/v1/inference/up") <= 4  # after 0.05, 0.1, 0.2, 0.4 s
