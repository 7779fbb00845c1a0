"""What every request of the public port passes first: it is counted, and refused before the node has begun and once it ends.

`/healthz` says that the process lives, `/readyz` whether requests should be sent here; both answer at any time.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.types import ASGIApp

from pivot.api.http.answer import OVERHEAD_HEADER, turn_away
from pivot.api.http.body import Message, Receive, Scope, Send
from pivot.api.http.errors import Unavailable
from pivot.api.http.websockets import deny
from pivot.api.inference.parts import EVENT_STREAM
from pivot.api.metrics.traffic import Traffic
from pivot.api.readiness.checks import NOT_BEGUN, Readiness

HEALTH_PATH = "/healthz"
READY_PATH = "/readyz"
ENDING = "this node ends; ask another one"
NO_ROUTE = "none"
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
OTHER_METHOD = "other"
WEBSOCKET_METHOD = "GET"
"""With which one begins."""
_STREAM = (b"content-type", EVENT_STREAM.encode())

log = structlog.get_logger(__name__)


class Front:
    """ASGI application around the public port's own, which is set when the node has begun (`open`)."""

    def __init__(self, traffic: Traffic, readiness: Readiness) -> None:
        self._traffic = traffic
        self._readiness = readiness
        self._app: ASGIApp | None = None
        self._paths: frozenset[str] = frozenset()
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self, app: ASGIApp, paths: frozenset[str]) -> None:
        """Let requests through. `paths`: those that the application serves without a route of its own."""
        self._app, self._paths = app, paths

    async def drain(self, seconds: float) -> int:
        """Refuse what comes from now on, and wait until what is under way has ended. How much has not."""
        self._readiness.ending = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("cut_off", requests=self._traffic.under_way, after_s=seconds)
        return self._traffic.under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] == "websocket":
            await self._pass_websocket_on(scope, receive, send)
        elif path == HEALTH_PATH:
            await _answer(send, HTTPStatus.OK, {"status": "ok"})
        elif path == READY_PATH:
            await self._ready(send)
        elif self._app is None or self._readiness.ending:
            await self._refuse(scope, send)
        else:
            await self._pass_on(self._app, scope, receive, send)

    async def _pass_on(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        traffic = self._traffic
        watch = _Watch(send, traffic)
        traffic.under_way += 1
        self._idle.clear()
        try:
            await app(scope, receive, watch)
        finally:
            traffic.under_way -= 1
            if not traffic.under_way:
                self._idle.set()
            self._count(scope, watch.status)

    async def _pass_websocket_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket has no end of its own, so a node that ends does not wait for it."""
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = int(HTTPStatus.SWITCHING_PROTOCOLS)
            elif message["type"] == "websocket.http.response.start":
                status = message["status"]
            await send(message)

        if self._app is None or self._readiness.ending:
            await deny(watch, Unavailable(ENDING if self._readiness.ending else NOT_BEGUN))
        else:
            await self._app(scope, receive, watch)
        self._count(scope, status)

    async def _ready(self, send: Send) -> None:
        reasons = await self._readiness.reasons()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        await _answer(send, status, {"ready": not reasons, "reasons": reasons})

    async def _refuse(self, scope: Scope, send: Send) -> None:
        refusal = Unavailable(ENDING if self._readiness.ending else NOT_BEGUN)
        await turn_away(scope, send, refusal)
        self._count(scope, refusal.status)

    def _count(self, scope: Scope, status: int) -> None:
        """Under few names, whatever strangers ask for."""
        path, route, method = scope["path"], scope.get("route"), scope.get("method", WEBSOCKET_METHOD)
        name = path if path in self._paths else getattr(route, "path", NO_ROUTE)
        self._traffic.requests[method if method in METHODS else OTHER_METHOD, name, status] += 1


class _Watch:
    """Sees what is sent, and when."""

    def __init__(self, send: Send, traffic: Traffic) -> None:
        self._send = send
        self._traffic = traffic
        self._received_s = time.perf_counter()
        self._awaits_token = False
        self.status = 0
        """0: the client went away before there was one."""

    async def __call__(self, message: Message) -> None:
        if self._awaits_token and message.get("body"):
            self._awaits_token = False
            self._traffic.first_token.add(time.perf_counter() - self._received_s)
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            self._read(message["headers"])
        await self._send(message)

    def _read(self, headers: Any) -> None:
        for header in headers:
            if header[0] == OVERHEAD_HEADER:
                self._traffic.added_latency.add(float(header[1]) / 1000)
            elif header == _STREAM:
                self._awaits_token = True


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    body = orjson.dumps(document)
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
