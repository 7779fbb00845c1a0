"""The API node's ports: bound before anything else starts, served by uvicorn in the node's own event loop.

uvicorn bounds neither how long nor how large what surrounds a body may be (head, chunk sizes, trailers), nor how many requests
are sent before the first is answered, nor how long a client may take no bytes of its answer; each of these would let a stranger keep
connections and memory for ever.
"""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

BACKLOG = 2_048
MAX_CONNECTIONS = 4_096
"""Of one port. When another one comes, whoever has waited longest without a request is let go; if nobody waits, it is answered 503."""
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
"""How long answers under way may take once the node is told to end; whole seconds."""
HEAD_SECONDS = 30.0
"""A request's head must be whole after this long."""
MAX_HEAD_BYTES = 64 * 2**10
"""Of a head; also of what comes between two pieces of a body, and after the last."""
MAX_PIPELINED = 32
"""Requests that a connection may send before an earlier one is answered."""
WRITE_AHEAD_BYTES = 32 * 2**10
"""Of an answer whose client takes it more slowly than it comes; beyond, the application waits."""
MAX_WEBSOCKET_MESSAGE_BYTES = 512 * 2**10
"""From a client: a call, with a transaction in it."""
WRITE_SECONDS = 30.0
"""A client that has taken no byte of its answer for so long is gone."""


REQUEST_TIMEOUT, HEAD_TOO_LARGE = b"408 Request Timeout", b"431 Request Header Fields Too Large"
CERTIFICATE = "certificate"
"""In the state of a request's scope: the name in the certificate that its client has shown."""


class CannotListen(Exception):
    """The address is taken, or none of this machine's."""


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening TCP socket: connections wait in its queue until it is served. Raises CannotListen, which names the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"{setting}: cannot listen on {host}:{port}: {error.strerror or error}") from error


def allow_open_files() -> None:
    """Let this process have as many files and connections open as the machine lets it; many a shell's limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Listener:
    """One application on one bound socket.

    tls: which certificate it shows, and whose it wants to see. websocket_path: the only path at which websockets are spoken.
    """

    def __init__(
        self, app: ASGIApp, bound: socket.socket, tls: ssl.SSLContext | None = None, *, websocket_path: str = ""
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_speaking_websocket_at(websocket_path) if websocket_path else _Connection,
            ws=_Websocket if websocket_path else "none",
            ws_max_size=MAX_WEBSOCKET_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # a few bytes could become many
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_context_factory=None if tls is None else lambda _, __: tls,
        )
        self._server = _Server(config)
        self._socket = bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    def cut_off(self) -> None:
        """End what is under way now: whoever is being answered lets go of what it holds, and settles what was delivered."""
        for task in self._server.server_state.tasks:
            task.cancel()

    async def close(self) -> None:
        """Take no new requests, let those under way end."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            if ending := set(self._server.server_state.tasks):  # they still have to let go of what they hold
                await asyncio.wait(ending, timeout=GRACE_SECONDS)


def common_name(certificate: Mapping[str, Any]) -> str:
    """The name of who was given a certificate, as Python's `ssl` reads one; empty when there is none."""
    subject = [pair for names in certificate.get("subject", ()) for pair in names]
    return next((str(value) for kind, value in subject if kind == "commonName"), "")


class _State(ServerState):
    """What the connections of one port share."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[_Connection, None] = {}
        """Those whose client has no request under way; who has waited longest comes first."""


class _Server(uvicorn.Server):
    """Leaves the process's signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _State()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _TakenInTime(asyncio.Protocol):
    """What is written is taken: a client that takes no byte for WRITE_SECONDS is let go."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _write_timer: asyncio.TimerHandle | None = None
    _unwritten = 0

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def _watch_writing(self) -> None:
        self._unwritten = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._require_written)

    def _require_written(self) -> None:
        if self.transport.get_write_buffer_size() < self._unwritten:
            self._watch_writing()
        else:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class _Connection(_TakenInTime, HttpToolsProtocol):
    """A connection that is closed when its client keeps it without need."""

    websocket_path = b""
    _handed_over = False
    """Whether the connection has become a websocket, which has limits of its own."""
    _beside_bodies = 0
    """Bytes received since the last byte of a body, or since a message ended."""
    _head_begun = False
    _certificate: str | None = None
    """The client's name in its certificate, on a port that wants one."""
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it, too
        super().connection_made(transport)
        transport.set_write_buffer_limits(WRITE_AHEAD_BYTES)
        if verified := transport.get_extra_info("peercert"):
            self._certificate = common_name(verified)
        self._waiting[self] = None
        longest = next(iter(self._waiting))
        if len(self.connections) >= MAX_CONNECTIONS and longest is not self:
            longest.give_up()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_head, REQUEST_TIMEOUT)

    def give_up(self) -> None:
        """Close the connection at once."""
        self._waiting.pop(self, None)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.pop(self, None)
        self._end_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._beside_bodies += len(data)
        super().data_received(data)
        if self._handed_over:
            return
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()
        elif self._beside_bodies > MAX_HEAD_BYTES:
            self._refuse_head(HEAD_TOO_LARGE)
        elif self._head_timer is None and (self._head_begun or self.cycle is None or self.cycle.response_complete):
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_head, REQUEST_TIMEOUT)

    def _should_upgrade(self) -> bool:
        at_its_path = bool(self.websocket_path) and self.url.partition(b"?")[0] == self.websocket_path
        idle = self.cycle is None or self.cycle.response_complete
        return at_its_path and idle and super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        self._handed_over = True
        self._waiting.pop(self, None)
        self._end_timers()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._head_begun = True
        super().on_message_begin()
        if self._certificate is not None:
            self.scope["state"][CERTIFICATE] = self._certificate

    def on_headers_complete(self) -> None:
        self._beside_bodies = 0
        self._head_begun = False
        self._waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._beside_bodies = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        more = bool(self.pipeline)
        super().on_response_complete()
        if not more and not self.transport.is_closing():
            self._waiting[self] = None

    def _refuse_head(self, status: bytes) -> None:
        """Say why, where nothing else is being answered, and close the connection."""
        if self._head_begun and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            self.transport.close()
        else:
            self.transport.abort()

    @property
    def _waiting(self) -> dict["_Connection", None]:
        return cast(_State, self.server_state).waiting

    def _end_timers(self) -> None:
        self._stop_watching()
        if self._head_timer is not None:
            self._head_timer.cancel()


class _Websocket(_TakenInTime, WSProtocol):
    """A connection that has become a websocket."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)


def _speaking_websocket_at(path: str) -> type[_Connection]:
    return type("_WebsocketConnection", (_Connection,), {"websocket_path": path.encode()})
