"""The API node's ports: bound before anything else starts, served by uvicorn in the node's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 2_048
MAX_CONNECTIONS = 4_096
"""Of one port; more are answered 503."""
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
"""How long answers under way may take once the node is told to end; whole seconds."""


class CannotListen(Exception):
    """The address is taken, or none of this machine's."""


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket: connections wait in its queue until it is served. Raises CannotListen with a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


class Listener:
    """One application on one bound socket."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._server = _Server(config)
        self._socket = bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    async def close(self) -> None:
        """Take no new requests, let those under way end."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


class _Server(uvicorn.Server):
    """Leaves the process's signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
