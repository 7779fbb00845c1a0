"""The inference port: one address in front of all instances of the model that the node serves.

Each request goes to the healthy instance with the fewest requests; ties to the first. What comes back is passed on byte for byte
as it comes (`relay.py`), and an instance counts as busy until the last byte. An instance that refuses the connection is passed
over for the next; one that breaks afterwards is not asked again elsewhere: a request that ends an instance would end them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pivot.mlnode.engines.relay import Connection
from pivot.mlnode.listening import BACKLOG, listen


@dataclass(eq=False)
class Backend:
    """An instance as the proxy sees it. Its port is on loopback."""

    port: int = 0
    healthy: bool = False
    busy: int = 0
    """Requests that it answers now."""


class Proxy:
    """Listens on the inference port while the node serves."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.backends: Sequence[Backend] = ()
        self.draining = False

    async def open(self, backends: Sequence[Backend]) -> None:
        """Listen, for these instances and no others. Raises CannotListen."""
        listening = listen(self._host, self._port)
        self.backends, self.draining = backends, False
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listening, backlog=BACKLOG)

    async def close(self, patience_s: float) -> None:
        """Take no new requests, let those under way end, and cut off what has not after `patience_s` seconds."""
        if self._server is None:
            return
        self._server.close()
        self._server, self.draining = None, True
        try:
            for connection in tuple(self._connections):
                connection.drain()
            await asyncio.wait_for(self._empty.wait(), patience_s)
        except TimeoutError:
            pass
        finally:
            for connection in tuple(self._connections):
                connection.abort()
            self.backends = ()

    def choose(self, passed_over: Collection[Backend]) -> Backend | None:
        """The least busy healthy instance; None when there is none."""
        candidates = [each for each in self.backends if each.healthy and each not in passed_over]
        return min(candidates, key=lambda backend: backend.busy, default=None)

    def joined(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections.add(connection)
        self._empty.clear()

    def left(self, connection: Connection) -> None:
        """A client has gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
