"""One client's connection, and what passes over it to an instance and back.

A request is read whole (it is small), put into a head of our own making, and sent to the least busy instance (`link.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import httptools
import orjson

from pivot.mlnode.engines.link import END_OF_HEAD, Answer, Link, connected
from pivot.mlnode.engines.request import Request

if TYPE_CHECKING:
    from pivot.mlnode.engines.proxy import Backend

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 2**20
"""Pictures in a request are base64."""
MAX_WAITING = 8
"""Requests that a client may send on one connection before the first is answered."""
CONNECT_TIMEOUT_S = 5.0
IDLE_S = 300.0
"""How long a connection may be without a request, or take to send one."""
RETRY_AFTER_S = 1

log = logging.getLogger(__name__)


class Instances(Protocol):
    """What a connection asks of the proxy."""

    draining: bool

    def choose(self, passed_over: Collection[Backend]) -> Backend | None: ...

    def joined(self, connection: Connection) -> None: ...

    def left(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """A client. Its requests are answered one after the other."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._parser = httptools.HttpRequestParser(self)
        self._reading = Request()
        self._requests: deque[Request] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._deaf = False
        self._slow = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._instances.joined(self)
        self._wait_for_a_request()

    def connection_lost(self, _: Exception | None) -> None:
        """The client has gone: what was being answered is ended."""
        self._instances.left(self)
        if self._idle:
            self._idle.cancel()
        if self._answering:
            self._answering.cancel()

    def pause_writing(self) -> None:
        """The client reads slowly, so no more is read from the instance."""
        self._slow = True
        if self._link:
            self._link.transport.pause_reading()

    def resume_writing(self) -> None:
        self._slow = False
        if self._link:
            self._link.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._do_not_upgrade()
        except httptools.HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"this is no HTTP request: {error}")

    def on_url(self, part: bytes) -> None:
        self._reading.target += part
        self._count(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._reading.method:  # else it stands behind the body, and is no header (RFC 9110, section 6.5.1)
            self._reading.headers.append((name, value))
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        request = self._reading
        request.method, request.keep_alive = self._parser.get_method(), self._parser.should_keep_alive()
        if any(name.lower() == b"expect" for name, _ in request.headers) and not self._answering:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        if len(self._reading.body) + len(part) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes")
        elif not self._deaf:
            self._reading.body += part

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        request, self._reading = self._reading, Request()
        if not request.target.startswith(b"/"):
            self._refuse(HTTPStatus.BAD_REQUEST, "a request's target must be a path")
            return
        if self._idle:
            self._idle.cancel()
        request.strip_version()
        self._requests.append(request)
        if len(self._requests) >= MAX_WAITING:
            self.transport.pause_reading()
        if self._answering is None:
            self._answering = asyncio.get_running_loop().create_task(self._answer_all())

    def drain(self) -> None:
        """Close as soon as nothing is being answered."""
        if self._answering is None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def _count(self, size: int) -> None:
        self._reading.size += size
        if self._reading.size > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {MAX_HEAD_BYTES} bytes")

    def _wait_for_a_request(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.transport.close)

    async def _answer_all(self) -> None:
        try:
            while self._requests:
                keep_alive = await self._answer_one(self._requests.popleft())
                if not keep_alive or self._instances.draining:
                    self.transport.close()
                    return
                self.transport.resume_reading()
        except Exception:  # a fault of ours must not leave a client waiting
            log.exception("a request could not be passed on")
            self.transport.abort()
            return
        self._answering = None
        self._wait_for_a_request()

    async def _answer_one(self, request: Request) -> bool:
        """Answer a request. Returns whether the connection can take another."""
        if not request.passes:
            self._write_error(HTTPStatus.NOT_FOUND, "there is nothing at this path", request)
            return request.keep_alive
        passed_over: list[Backend] = []
        while not self._instances.draining and (backend := self._instances.choose(passed_over)):
            if log.isEnabledFor(logging.DEBUG):
                log.debug("request %s: %r to the instance on port %d", request.name, request.target, backend.port)
            backend.busy += 1
            try:
                answer = await self._ask(backend, request)
            finally:
                backend.busy -= 1
            if answer:
                return self._after(answer, request)
            passed_over.append(backend)
        self._write_error(HTTPStatus.SERVICE_UNAVAILABLE, "no instance of the model serves now", request)
        return request.keep_alive

    async def _ask(self, backend: Backend, request: Request) -> Answer | None:
        """Pass a request on and its answer back. None, and the instance out of choice, when it takes no connection.

        A connection that was kept from an earlier answer may have been closed just now: then a new one is tried.
        """
        answer = None
        if kept := backend.kept_link():
            answer = await self._pass_on(kept, backend, request)
            if answer.begun:
                return answer
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                link = await connected(backend.port)
        except OSError:  # a timeout among them
            backend.healthy = False
            return answer
        return await self._pass_on(link, backend, request)

    async def _pass_on(self, link: Link, backend: Backend, request: Request) -> Answer:
        answer = Answer(self.transport, only_head=request.only_head)
        self._link = link
        try:
            if self._slow:
                link.transport.pause_reading()
            link.ask(request.forwarded(), answer)
            await answer.ended
        finally:
            self._link = None
            if answer.whole and answer.keep_alive and not request.only_head:
                backend.keep(link)
            else:
                link.transport.abort()
        return answer

    def _after(self, answer: Answer, request: Request) -> bool:
        """Whether the connection can take another request after this answer."""
        if answer.whole:
            return request.keep_alive and answer.keep_alive
        if not answer.begun:
            self._write_error(HTTPStatus.BAD_GATEWAY, "the instance broke while it answered", request)
            return request.keep_alive
        return False  # cut short, which the client sees by the connection's end

    def _do_not_upgrade(self) -> None:
        """Answer in HTTP/1.1, as a server may that speaks no other protocol; what follows cannot be read."""
        self._deaf = True
        if self._requests:
            self._requests[-1].keep_alive = False

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer a request that cannot be read, and close."""
        if self._deaf:
            return
        self._deaf = True
        if self._answering:
            self._answering.cancel()
        else:
            self._write_error(status, message, None)
        self.transport.close()

    def _write_error(self, status: HTTPStatus, message: str, request: Request | None) -> None:
        """OpenAI's error object."""
        kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": status.value}
        body = orjson.dumps({"error": error})
        head = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
        ]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            head.append(f"retry-after: {RETRY_AFTER_S}")
        if request is None or not request.keep_alive:
            head.append("connection: close")
        only_head = request is not None and request.only_head
        self.transport.write("\r\n".join(head).encode() + END_OF_HEAD + (b"" if only_head else body))
