"""A port stands what strangers do to it."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pivot.api import listening
from pivot.api.listening import Listener, allow_open_files, bind


@asynccontextmanager
async def listener(app: Any) -> AsyncIterator[tuple[Listener, int]]:
    bound = bind("127.0.0.1", 0, "PORT")
    listener = Listener(app, bound)
    await listener.start()
    try:
        yield listener, bound.getsockname()[1]
    finally:
        await listener.close()


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def take(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = await take(receive)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def require_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(2):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT",
    ],
)
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.1)
    async with listener(echo) as (_, port), connection(port) as (reader, writer):
        writer.write(sent)
        await require_closed(reader)


async def test_an_idle_connection_is_not_kept_by_empty_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.1)
    async with listener(echo) as (_, port), connection(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\r\n")
        await require_closed(reader)


async def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.05)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)
        await echo(scope, receive, send)

    async with listener(slow) as (_, port), connection(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
    ],
)
async def test_what_surrounds_a_body_is_bounded(beginning: bytes) -> None:
    async with listener(echo) as (_, port), connection(port) as (reader, writer):
        writer.write(beginning)
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                writer.write(b"x" * 65_536)
                await writer.drain()
            pytest.fail("32 MB were taken")
        await require_closed(reader)


async def test_a_large_body_comes_through() -> None:
    async with listener(echo) as (_, port), connection(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"4000\r\n" + b"y" * 0x4000 + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.readexactly(40 * 0x4000)) == 40 * 0x4000


async def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "WRITE_SECONDS", 0.1)
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await take(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"z" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    async with listener(endless) as (_, port), connection(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_request_that_is_cut_off_has_let_go_before_the_port_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "GRACE_SECONDS", 1)
    let_go = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            let_go.set()

    async with listener(stubborn) as (running, port), connection(port) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        await running.close()
        assert let_go.is_set()


async def test_a4_idle_connections_beyond_the_limit_make_room_for_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 20)
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(listener(echo))
        asking = await stack.enter_async_context(connection(port))
        idle = [await stack.enter_async_context(connection(port)) for _ in range(60)]
        await require_closed(idle[0][0])
        async with connection(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await require_closed(asking[0])


async def test_a_connection_with_a_request_under_way_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 4)
    go_on = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(listener(slow))
        reader, writer = await stack.enter_async_context(connection(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
        for _ in range(12):
            await stack.enter_async_context(connection(port))
        go_on.set()
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


def test_a_shells_limit_of_open_files_is_not_the_nodes() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_slow_loris_a_byte_now_and_then_does_not_keep_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.3)
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(listener(echo))
        slow = [await stack.enter_async_context(connection(port)) for _ in range(50)]
        for byte in b"GET / HTTP/1.1\r\nX: ":
            for _, writer in slow:
                writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        async with connection(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        for reader, _ in slow:
            await require_closed(reader)
