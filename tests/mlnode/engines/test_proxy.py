"""The inference port, before instances that are written here byte by byte."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from pivot.mlnode.engines import proxy as proxy_module
from pivot.mlnode.engines import relay
from pivot.mlnode.engines.link import Answer, Link, connected
from pivot.mlnode.engines.proxy import Backend, Proxy
from pivot.mlnode.listening import CannotListen
from tests.mlnode.engines.kinds import LOOPBACK, free_port
from tests.mlnode.fakes import until

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WORD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nword"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream:
    """An instance that does what it is told with each request, and keeps what it has read."""

    def __init__(self, answering: Answering | bytes) -> None:
        self._answering = answering
        self.backend = Backend(healthy=True)
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        """One for each connection."""
        self.gone = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
                self.requests.append(head + await reader.readexactly(length))
                if isinstance(self._answering, bytes):
                    writer.write(self._answering)
                else:
                    await self._answering(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Upstream]:
        async with await asyncio.start_server(self._serve, LOOPBACK, 0) as server:
            self.backend.port = server.sockets[0].getsockname()[1]
            yield self


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy(LOOPBACK, free_port())
    yield proxy
    await proxy.close(0)


def url(proxy: Proxy, path: str = "/v1/completions") -> str:
    return f"http://{LOOPBACK}:{proxy._port}{path}"


async def sent(proxy: Proxy, data: bytes) -> bytes:
    """What comes back for raw bytes, until the connection is closed."""
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy._port)
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_m8_the_port_opens_and_closes_every_time(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with Upstream(WORD).running() as upstream:
        for _ in range(3):
            await proxy.open([upstream.backend])
            async with session.get(url(proxy)) as response:
                assert await response.text() == "word"
            await proxy.close(1)
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(url(proxy))


async def test_a_taken_port_is_refused(proxy: Proxy) -> None:
    with socket.create_server((LOOPBACK, proxy._port)), pytest.raises(CannotListen):
        await proxy.open([])
    await proxy.close(1)


async def test_what_concerns_the_connection_alone_is_not_passed_on(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        headers = {"Authorization": "Bearer x", "Connection": "keep-alive", "TE": "gzip"}
        async with session.post(url(proxy, "/v1/a%2Fb?q=1&r=%20"), data=chunks(), headers=headers) as response:
            assert response.status == 200
    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:2] == [b"POST /v1/a%2Fb?q=1&r=%20 HTTP/1.1", b"host: 127.0.0.1"]
    assert b"Authorization: Bearer x" in lines
    assert not {b"connection", b"te", b"transfer-encoding"} & {line.partition(b":")[0].lower() for line in lines}
    assert (lines[-1], body) == (b"content-length: 6", b"onetwo")


@pytest.mark.parametrize(
    ("given", "told"), [("trace-1.ab", "trace-1.ab"), ("a b", "without a name"), (None, "without a name")]
)
async def test_a_requests_name_is_in_the_log(
    proxy: Proxy, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, given: str | None, told: str
) -> None:
    headers = {"X-Request-Id": given} if given else {}
    with caplog.at_level(logging.DEBUG, "pivot.mlnode.engines.relay"):
        async with Upstream(WORD).running() as upstream:
            await proxy.open([upstream.backend])
            async with session.post(url(proxy), data=b"{}", headers=headers) as response:
                assert response.status == 200
    [line] = [record.getMessage() for record in caplog.records if record.name == "pivot.mlnode.engines.relay"]
    assert line == f"request {told}: b'/v1/completions' to the instance on port {upstream.backend.port}"


async def test_what_stands_behind_a_body_is_no_header(proxy: Proxy) -> None:
    head = b"POST /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        assert (await sent(proxy, head + b"3\r\none\r\n0\r\nauthorization: Bearer x\r\n\r\n")).endswith(b"word")
    assert upstream.requests[0].endswith(b"content-length: 3\r\n\r\none")
    assert b"authorization" not in upstream.requests[0]


async def chunks() -> AsyncIterator[bytes]:
    for part in (b"one", b"two"):
        yield part
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ("/v3.0.8/v1/models", b"/v1/models"),
        ("/v3.0.8-rc.1/health", b"/health"),
        ("/v1/models", b"/v1/models"),
        ("/v1/v3.0.8/x", b"/v1/v3.0.8/x"),
        ("/v10.20/v1/x", b"/v1/x"),
    ],
)
async def test_a_versions_prefix_is_taken_off_once(
    proxy: Proxy, session: aiohttp.ClientSession, asked: str, passed_on: bytes
) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.get(url(proxy, asked)):
            assert upstream.requests[0].split(b" ")[1] == passed_on


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/scale_elastic_ep",
        "/v3.0.8/scale_elastic_ep",
        "/inference/v1/abort_requests",
        "/v3.0.8",
        "/v3.0.8/v3.0.9/health",
        "//health",
        "/v2/x",
        "/sleep?level=1",
        "/wake_up",
        "/is_sleeping",
        "/collective_rpc",
        "/v3.0.8/sleep",
    ],
)
async def test_m_item29_routes_that_command_an_engine_are_not_passed_on(
    proxy: Proxy, session: aiohttp.ClientSession, path: str
) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        for ask in (session.post, session.get):
            async with ask(url(proxy, path)) as response:
                assert response.status == 404
                assert (await response.json())["error"]["code"] == 404
        assert not upstream.requests


async def test_a_piece_arrives_before_the_next_one_is_made(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    read = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await read.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.post(url(proxy)) as response:
            assert await response.content.readany() == b"one"
            assert upstream.backend.busy == 1
            read.set()
            assert await response.read() == b"two"
        await until(lambda: upstream.backend.busy == 0)


async def test_the_least_busy_instance_is_chosen() -> None:
    proxy = Proxy(LOOPBACK, 1)
    first, second, third = (
        Backend(1, healthy=True, busy=2),
        Backend(2, healthy=True, busy=1),
        Backend(3, healthy=True, busy=1),
    )
    proxy.backends = [first, second, third]
    assert proxy.choose([]) is second
    assert proxy.choose([second]) is third
    second.healthy = third.healthy = False
    assert proxy.choose([]) is first
    assert proxy.choose([first]) is None


async def test_m12_an_instance_that_refuses_is_passed_over_before_the_first_byte(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    async with Upstream(WORD).running() as upstream:
        dead = Backend(free_port(), healthy=True)
        await proxy.open([dead, upstream.backend])
        async with session.post(url(proxy), data=b"x") as response:
            assert await response.text() == "word"
        assert (dead.healthy, dead.busy, upstream.backend.busy) == (False, 0, 0)


async def test_m12_an_instance_that_breaks_in_the_midst_of_an_answer_is_busy_no_more(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await writer.drain()
        writer.transport.abort()

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.post(url(proxy)) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        await until(lambda: upstream.backend.busy == 0)


async def test_a_connection_to_an_instance_is_used_again(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        for _ in range(3):
            async with session.post(url(proxy)) as response:
                assert await response.text() == "word"
        assert (len(upstream.requests), len(upstream.writers)) == (3, 1)
        await proxy.close(1)
        await upstream.gone.wait()


def closes_when_asked(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance closes a connection while the next request is on its way."""

    def ask(_: bytes, answer: Answer) -> None:
        link._answer = answer
        link.transport.abort()

    monkeypatch.setattr(link, "ask", ask)


@pytest.mark.parametrize("how", ["closed", "closed just now", "too old", "of another port", "has spoken"])
async def test_a_kept_connection_that_is_no_good_is_replaced(
    proxy: Proxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.post(url(proxy)):
            pass
        [link] = upstream.backend._links
        if how == "too old":
            monkeypatch.setattr(proxy_module, "LINK_IDLE_S", -1.0)
        elif how == "of another port":
            link.port += 1
        elif how == "has spoken":
            upstream.writers[0].write(WORD)
            await until(lambda: link.lost)
        elif how == "closed":
            upstream.writers[0].close()
            await until(lambda: link.lost)
        else:
            closes_when_asked(link, monkeypatch)
        async with session.post(url(proxy)) as response:
            assert await response.text() == "word"
        assert (len(upstream.requests), len(upstream.writers)) == (2, 2)


async def test_an_instance_that_is_gone_with_its_kept_connection_is_not_asked_elsewhere(
    proxy: Proxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Upstream(WORD).running() as other:
        async with Upstream(WORD).running() as broken:
            await proxy.open([broken.backend, other.backend])
            async with session.post(url(proxy)):
                pass
            closes_when_asked(broken.backend._links[0], monkeypatch)
        async with session.post(url(proxy)) as response:
            assert response.status == 502
        assert (broken.backend.healthy, other.requests) == (False, [])


async def test_a_fault_of_the_proxy_leaves_no_client_waiting(
    proxy: Proxy,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault(_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(proxy, "choose", fault)
    await proxy.open([])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(url(proxy))
    assert "a fault" in caplog.text


async def test_a_connection_that_is_lost_as_soon_as_it_is_made_is_an_instance_that_broke(
    proxy: Proxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(port: int) -> Link:
        link = await connected(port)
        link.transport.abort()
        await until(lambda: link.lost)
        return link

    monkeypatch.setattr(relay, "connected", lost)
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.post(url(proxy)) as response:
            assert response.status == 502


async def test_no_more_connections_are_kept_than_the_bound(
    proxy: Proxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "MAX_KEPT_LINKS", 2)
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        await asyncio.gather(*(session.post(url(proxy)) for _ in range(5)))
        await until(lambda: upstream.backend.busy == 0)
        assert len(upstream.backend._links) <= 2


async def test_an_instance_that_breaks_before_the_first_byte_is_not_asked_elsewhere(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with Upstream(answer).running() as broken, Upstream(WORD).running() as other:
        await proxy.open([broken.backend, other.backend])
        async with session.post(url(proxy)) as response:
            assert response.status == 502
            assert (await response.json())["error"]["message"] == "the instance broke while it answered"
        assert (broken.backend.busy, other.requests) == (0, [])


async def test_what_is_no_http_from_an_instance_ends_the_answer(proxy: Proxy) -> None:
    async with Upstream(b"nonsense\r\n\r\n").running() as upstream:
        await proxy.open([upstream.backend])
        assert await sent(proxy, b"GET /health HTTP/1.1\r\n\r\n") == b"nonsense\r\n\r\n"
        assert upstream.backend.busy == 0


async def test_m12_without_a_healthy_instance_the_answer_is_503(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    await proxy.open([Backend(1, healthy=False)])
    async with session.get(url(proxy, "/health")) as response:
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        error = (await response.json())["error"]
    assert error == {
        "message": "no instance of the model serves now",
        "type": "server_error",
        "param": None,
        "code": 503,
    }
    async with session.head(url(proxy, "/health")) as response:
        assert response.status == 503


async def test_a_head_is_asked_for_with_get_and_answered_without_a_body(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WORD[:20])
        await asyncio.sleep(0.01)
        writer.write(WORD[20:])

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        for _ in range(2):  # on one connection
            async with session.head(url(proxy)) as response:
                assert (response.status, response.headers["content-length"]) == (200, "4")
        assert upstream.requests[0].startswith(b"GET ")


async def test_a_client_that_goes_away_ends_its_answer(proxy: Proxy) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy._port)
        writer.write(b"POST /v1/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await upstream.gone.wait()
        await until(lambda: upstream.backend.busy == 0)


async def test_a_client_that_reads_slowly_slows_its_instance_down(proxy: Proxy) -> None:
    written = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while written < 100_000_000:
            writer.write(bytes(100_000))
            written += 100_000
            await writer.drain()

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy._port, limit=1_000)
        writer.write(b"GET /health HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.1)
        assert written < 50_000_000
        read = 0
        while read < 60_000_000:
            read += len(await reader.read(1_000_000))
        assert written > 50_000_000
        writer.close()
        await until(lambda: upstream.backend.busy == 0)


async def test_requests_on_one_connection_are_answered_in_their_order(proxy: Proxy) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        asked = b"".join(b"GET /v1/%d HTTP/1.1\r\n\r\n" % n for n in range(20))
        answer = await sent(proxy, asked + b"GET /v1/end HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert answer.count(b"word") == 21
        assert [each.split(b" ")[1] for each in upstream.requests] == [*(b"/v1/%d" % n for n in range(20)), b"/v1/end"]


async def test_who_waits_for_leave_to_send_a_body_gets_it(proxy: Proxy) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy._port)
        writer.write(b"POST /v1/x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert await reader.read() == WORD
        writer.close()


async def test_a_protocol_is_not_upgraded(proxy: Proxy) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        asked = b"GET /v1/1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /v1/2 HTTP/1.1\r\n\r\n"
        assert await sent(proxy, asked) == WORD
        assert len(upstream.requests) == 1
        assert b"pgrade" not in upstream.requests[0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"400"),
        (b"CONNECT elsewhere:80 HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + bytes([120]) * 100_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + bytes(2_000), b"413"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_connection_closed(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, data: bytes, status: bytes
) -> None:
    monkeypatch.setattr(relay, "MAX_BODY_BYTES", 1_000)
    await proxy.open([])
    answer = await sent(proxy, data)
    assert answer.split(b" ")[1] == status
    assert b"connection: close" in answer
    assert b'"invalid_request_error"' in answer


async def test_a_connection_without_a_request_is_closed_in_the_end(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_S", 0.05)
    await proxy.open([])
    assert await sent(proxy, b"GET / HT") == b""


async def test_idle_connections_do_not_hold_up_the_end(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with Upstream(WORD).running() as upstream:
        await proxy.open([upstream.backend])
        async with session.get(url(proxy)) as response:
            await response.read()  # the client keeps its connection
        await proxy.close(1_000)


async def test_a_request_that_comes_while_the_port_closes_is_refused(proxy: Proxy) -> None:
    go_on = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(WORD)

    async with Upstream(answer).running() as upstream:
        await proxy.open([upstream.backend])
        asked = asyncio.create_task(sent(proxy, b"GET /v1/1 HTTP/1.1\r\n\r\nGET /v1/2 HTTP/1.1\r\n\r\n"))
        await until(lambda: upstream.requests)
        closing = asyncio.create_task(proxy.close(1_000))
        await asyncio.sleep(0)
        go_on.set()
        assert await asked == WORD
        await closing
        assert len(upstream.requests) == 1
