"""The cheapest server that answers as vLLM does, in a process of its own."""

import asyncio
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection

import orjson
import uvloop

from benchmarks.gateway import answers
from benchmarks.gateway.answers import Pace

TICK_SECONDS = 0.001
"""Paced streams are written in rounds, so that one timer serves them all."""


def run(pipe: Connection) -> None:
    """Serve until the process is ended; the port goes through the pipe."""
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    rounds = _Rounds(loop)
    server = await loop.create_server(lambda: _Engine(loop, rounds), "127.0.0.1", 0, backlog=1_024)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Rounds:
    """Writes the next chunk of every paced stream when its time has come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: deque[list[tuple[_Engine, Iterator[bytes], int]]] = deque()
        self._next_s = 0.0

    def add(self, engine: "_Engine", chunks: Iterator[bytes], per_second: int) -> None:
        """Write `chunks`, so many a second."""
        if not self._due:
            self._next_s = self._loop.time() + TICK_SECONDS
            self._loop.call_at(self._next_s, self._turn)
        self._put(engine, chunks, round(1 / per_second / TICK_SECONDS))

    def _put(self, engine: "_Engine", chunks: Iterator[bytes], ticks: int) -> None:
        while len(self._due) < ticks:
            self._due.append([])
        self._due[ticks - 1].append((engine, chunks, ticks))

    def _turn(self) -> None:
        while self._due and self._loop.time() >= self._next_s:
            for engine, chunks, ticks in self._due.popleft():
                if engine.write_next(chunks):
                    self._put(engine, chunks, ticks)
            self._next_s += TICK_SECONDS
        if not any(self._due):
            self._due.clear()
        else:
            self._loop.call_at(self._next_s, self._turn)


class _Engine(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rounds: _Rounds) -> None:
        self._loop = loop
        self._rounds = rounds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # of a TCP server

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        body = _body(head.lower(), rest) if found else None
        if body is None:
            return
        self._received = b""  # no client sends a second request before it has the first one's answer
        if head.startswith(b"GET"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        request = orjson.loads(body)
        content = request["messages"][0]["content"]
        pace = Pace.of(content if isinstance(content, str) else content[0]["text"])
        if pace.delay_ms:
            self._loop.call_later(pace.delay_ms / 1_000, self._answer, request, pace)
        else:
            self._answer(request, pace)

    def write_next(self, chunks: Iterator[bytes]) -> bool:
        """Whether there was one."""
        if self._transport.is_closing():
            return False
        chunk = next(chunks, None)
        if chunk is not None:
            self._transport.write(chunk)
        return chunk is not None

    def _answer(self, request: dict[str, object], pace: Pace) -> None:
        logprobs = bool(request.get("logprobs"))
        if not request.get("stream"):
            self._transport.write(answers.whole(pace.chunks, logprobs=logprobs))
            return
        self._transport.write(answers.STREAM_HEAD)
        chunks = iter(answers.events(pace.chunks, logprobs=logprobs, usage=bool(request.get("stream_options"))))
        if pace.per_second:
            self._rounds.add(self, chunks, pace.per_second)
        else:
            self._one_by_one(chunks)

    def _one_by_one(self, chunks: Iterator[bytes]) -> None:
        if self.write_next(chunks):
            self._loop.call_soon(self._one_by_one, chunks)


def _body(head: bytes, rest: bytes) -> bytes | None:
    """A request's body, once it is whole."""
    if b"transfer-encoding: chunked" in head:
        if not rest.endswith(b"0\r\n\r\n"):
            return None
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    return rest if len(rest) >= length else None
