"""The inference port: one address in front of all instances of the model that the node serves.

Each request goes to the healthy instance with the fewest requests; ties to the first. What comes back is passed on byte for byte
as it comes (`link.py`), and an instance counts as busy until the last byte. An instance that refuses the connection is passed
over for the next; one that breaks afterwards is not asked again elsewhere: a request that ends an instance would end them all.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pivot.mlnode.engines.link import Link
from pivot.mlnode.engines.relay import Connection
from pivot.mlnode.listening import BACKLOG, listen

LINK_IDLE_S = 3.0
"""How long a connection is kept for the next request: less than the 5 s after which vLLM closes it."""
MAX_KEPT_LINKS = 256
"""Of each instance."""


@dataclass(eq=False)
class Backend:
    """An instance as the proxy sees it. Its port is on loopback."""

    port: int = 0
    healthy: bool = False
    busy: int = 0
    """Requests that it answers now."""
    _links: deque[Link] = field(default_factory=deque)

    def kept_link(self) -> Link | None:
        """A connection to it that is open and waits for a request: the one that was used last."""
        oldest = asyncio.get_running_loop().time() - LINK_IDLE_S
        while self._links:
            link = self._links.pop()
            if not link.lost and link.port == self.port and link.kept_at >= oldest:
                return link
            link.transport.abort()
        return None

    def keep(self, link: Link) -> None:
        """A connection to it waits for its next request."""
        link.put_aside()
        self._links.append(link)
        if len(self._links) > MAX_KEPT_LINKS:
            self._links.popleft().transport.abort()

    def drop_links(self) -> None:
        """Close the connections that wait."""
        while self._links:
            self._links.pop().transport.abort()


class Proxy:
    """Listens on the inference port while the node serves."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._tls = host, port, tls
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
        self._server = await loop.create_server(
            lambda: Connection(self), sock=listening, backlog=BACKLOG, ssl=self._tls
        )

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
            for backend in self.backends:
                backend.drop_links()
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
