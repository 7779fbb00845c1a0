"""A client so light that it hides no gateway: bytes are counted, not read.

A chunk of a stream costs it some microseconds; what it and the upstream have used is told beside every figure of a gateway.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

STREAM_END = b"0\r\n\r\n"
EVENT = b"data: "
CONNECT_AT_A_TIME = 32


@dataclass
class Answers:
    """What a load got."""

    took_ms: list[float] = field(default_factory=list)
    """From the request's first byte to the answer's last."""
    chunks: int = 0
    failed: int = 0
    first_failure: str = ""
    gaps_ms: list[float] = field(default_factory=list)
    """Of streams, the longest wait between two pieces of each."""
    seconds: float = 0.0

    def fail(self, reason: str) -> None:
        self.failed += 1
        self.first_failure = self.first_failure or reason


class _Connection(asyncio.Protocol):
    """Sends request after request, each when the one before has been answered."""

    def __init__(self, requests: Iterator[bytes], answers: Answers, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._answers = answers
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # of a TCP client
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._done.done():
            self._answers.fail("the connection was closed")
            self._done.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._head is not None:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._read_head(head)
        elif self._streams:
            self._gap = max(self._gap, now - self._last_s)
        self._last_s = now
        if self._streams:
            self._answers.chunks += (self._tail + data).count(EVENT)
            self._tail = data[-len(EVENT) + 1 :]
            if data.endswith(STREAM_END):
                self._answered(now)
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._answered(now)

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            self._answers.fail(head[:300].decode(errors="replace"))
            self._requests = iter(())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        self._head = None
        self._streams = not length
        self._left = int(length or 0)

    def _answered(self, now: float) -> None:
        self._answers.took_ms.append((now - self._sent_s) * 1e3)
        if self._streams:
            self._answers.gaps_ms.append(self._gap * 1e3)
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()
            return
        self._head: bytes | None = b""
        self._tail = b""
        self._streams = False
        self._gap = 0.0
        self._sent_s = time.perf_counter()
        self._transport.write(request)


async def load(port: int, requests: Sequence[bytes], concurrency: int, *, limit_s: float = 600.0) -> Answers:
    """All requests, so many at a time; what has not come after `limit_s` has failed."""
    loop = asyncio.get_running_loop()
    waiting, answers = iter(requests), Answers()
    room = asyncio.Semaphore(CONNECT_AT_A_TIME)

    async def connection() -> None:
        done: asyncio.Future[None] = loop.create_future()
        async with room:
            transport, _ = await loop.create_connection(lambda: _Connection(waiting, answers, done), "127.0.0.1", port)
        try:
            async with asyncio.timeout_at(began + limit_s):
                await done
        except TimeoutError:
            answers.fail("no end of the answer in time")
            done.cancel()
            transport.abort()

    began = loop.time()
    await asyncio.gather(*(connection() for _ in range(concurrency)))
    answers.seconds = loop.time() - began
    return answers
