"""A connection to an instance, and the answers that come over it.

An answer is written to the client in the pieces in which it arrives; it is only read along to know where it ends. This is the hot
path of streamed answers: a piece costs two system calls and a parser in C.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

import httptools

from pivot.mlnode.engines.request import LOOPBACK

END_OF_HEAD = b"\r\n\r\n"


class Answer:
    """What an instance sends back for one request, written on to the client."""

    def __init__(self, client: asyncio.Transport, *, only_head: bool) -> None:
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._head = bytearray() if only_head else None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the answer is whole, or the instance is gone."""
        self.begun = False
        self.whole = False
        self.keep_alive = True
        """Whether the instance takes another request on the same connection."""

    def take(self, data: bytes) -> None:
        """Bytes have come from the instance."""
        if self._client.is_closing():
            self.end()
            return
        if self._head is not None:
            self._take_head(data)
            return
        self.begun = True
        self._client.write(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.whole = False
            self.end()

    def end(self) -> None:
        """Nothing more will come."""
        with contextlib.suppress(asyncio.InvalidStateError):
            self.ended.set_result(None)

    def on_message_complete(self) -> None:
        self.whole, self.keep_alive = True, self._parser.should_keep_alive()
        self.end()

    def _take_head(self, data: bytes) -> None:
        """Pass on the head alone."""
        if self._head is None or self.whole:
            return
        self._head += data
        end = self._head.find(END_OF_HEAD)
        if end >= 0:
            self._client.write(bytes(self._head[: end + len(END_OF_HEAD)]))
            self.begun = self.whole = True
            self.end()


class Link(asyncio.Protocol):
    """A connection to an instance; one answer at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lost = False
        self.kept_at = 0.0
        """When it was last put aside, by the loop's clock."""
        self._answer: Answer | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True
        if self._answer:
            self._answer.end()

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.transport.abort()  # nobody has asked
        else:
            self._answer.take(data)

    def ask(self, request: bytes, answer: Answer) -> None:
        """Send a request; what comes back is the answer's."""
        self._answer = answer
        if self.lost:
            answer.end()
        else:
            self.transport.write(request)

    def put_aside(self) -> None:
        """The answer is whole."""
        self._answer, self.kept_at = None, asyncio.get_running_loop().time()
        self.transport.resume_reading()


async def connected(port: int) -> Link:
    """A new connection to an instance. Raises OSError."""
    _, link = await asyncio.get_running_loop().create_connection(lambda: Link(port), LOOPBACK, port)
    return link
