"""A node's three ports as strangers find them: the applications behind everything that stands before them, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI
from google.protobuf.message import Message

from pivot.api.http.admin import admin_app
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.callbacks import callbacks_app
from pivot.api.http.claims import serve_claims
from pivot.api.http.figures import serve_figures
from pivot.api.http.front import Front
from pivot.api.http.quotas import PerAddress
from pivot.api.inference.request import PATHS
from pivot.api.keys.issued import IssuedKeys
from pivot.api.listening import Listener, bind
from pivot.api.metrics.page import Metrics
from pivot.api.metrics.traffic import Traffic
from pivot.api.poc.callback import callback_token
from pivot.api.readiness.checks import Readiness
from pivot.api.rewards.claimer import Recovery
from pivot.api.settings import HttpSettings
from tests.api.fleet.chain import FakeChain, FakePhases, epoch
from tests.api.http.test_public import running_port
from tests.api.inference.network import API_KEY, Network
from tests.api.poc.host import host
from tests.api.poc.test_prover import MARKS

PUBLIC, ADMIN, CALLBACKS = "public", "admin", "callbacks"
ADMIN_TOKEN = "the token of the admin port"
INTERNALS = ("Traceback", 'File "', "site-packages", "sqlalchemy", "sqlite", "pivot.api", "/src/pivot")
"""What no stranger is told."""
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Door:
    """One port, a route there that takes a body, and one that answers whoever may ask."""

    number: int
    posts: str
    gets: str
    authorization: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"

    def head(self, method: str, *headers: str, path: str = "") -> bytes:
        """A request's head for this port."""
        line = f"{method} {path or (self.posts if method == 'POST' else self.gets)} HTTP/1.1"
        told = ("Host: h", f"Authorization: {self.authorization}", "Content-Type: application/json", *headers)
        return "\r\n".join((line, *told, "", "")).encode("latin-1")

    async def require_others_are_served(self) -> None:
        """Somebody else asks, and is answered."""
        async with Caller.at(self) as caller:
            await caller.send(self.head("GET"))
            status, _ = await caller.answer()
        assert status in {200, 404, 405}, status


@dataclass
class Ports:
    """Of one node."""

    network: Network
    traffic: Traffic
    doors: dict[str, Door]
    applications: dict[str, FastAPI]
    """What of each is described by an OpenAPI document."""

    def __getitem__(self, name: str) -> Door:
        return self.doors[name]


class Caller:
    """A connection on which bytes are sent as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.sent = 0

    @classmethod
    @asynccontextmanager
    async def at(cls, door: Door) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.number)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError when nobody takes any more."""
        self._writer.write(data)
        await self._writer.drain()
        self.sent += len(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer. Raises asyncio.IncompleteReadError when the connection ends before."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split()[1])
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            return status, await self._reader.readexactly(int(length or 0))

    async def rest(self) -> bytes:
        """Whatever else comes until the other side closes the connection."""
        told = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while piece := await self._reader.read(65_536):
                    told += piece
            except ConnectionError:
                pass
        return told


class NoClaims:
    """A claimer that has nothing to claim."""

    async def recover(self, epoch: int | None, *, force: bool) -> Any:
        return Recovery(epoch or 1, "nothing to claim", 0, already_claimed=False, claim_executed=False)


class AnsweringChain:
    """Makes a test's chain answer every query, if only with an empty message."""

    def __init__(self, chain: Any) -> None:
        self._answers = chain.answers

    async def query(self, path: str, request: Message, response: type[Message]) -> Message:
        return self._answers.get(path.rpartition("/")[2]) or response()


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    """An application on a port as the node serves it."""
    bound = bind("127.0.0.1", 0, "PORT")
    listener = Listener(app, bound)
    await listener.start()
    try:
        yield bound.getsockname()[1]
    finally:
        await listener.close()


@asynccontextmanager
async def all_ports(network: Network, home: Path) -> AsyncIterator[Ports]:
    """The public port of a network's first host, and the other two of a host like it."""
    async with AsyncExitStack() as stack:
        network.chain.query = AnsweringChain(network.chain).query  # type: ignore[method-assign]
        public = await stack.enter_async_context(running_port(network))
        traffic, readiness = Traffic(), Readiness()
        front = Front(traffic, readiness)
        front.open(public.app, PATHS)
        readiness.begun = True
        chain = FakeChain()
        phases = FakePhases(chain)
        one = await stack.enter_async_context(host(chain, phases, home))
        chain.latest = epoch(1)
        await phases.at(MARKS.poc_start)
        one.settings.api.admin_token = ADMIN_TOKEN
        admin = admin_app(one.settings, one.identity, one.chain, one.fleet)
        serve_figures(admin, Metrics(traffic))
        serve_api_keys(admin, IssuedKeys(one.database))
        serve_claims(admin, NoClaims())  # type: ignore[arg-type]  # all that is asked
        applications = {
            PUBLIC: PerAddress(front, HttpSettings()),
            ADMIN: admin,
            CALLBACKS: callbacks_app(one.settings, one.fleet, one.prover),
        }
        at = {name: await stack.enter_async_context(listening(app)) for name, app in applications.items()}
        token = callback_token(one.settings)
        doors = {
            PUBLIC: Door(at[PUBLIC], "/v1/chat/completions", "/v1/status", f"Bearer {API_KEY}"),
            ADMIN: Door(at[ADMIN], "/admin/v1/nodes", "/admin/v1/nodes", f"Bearer {ADMIN_TOKEN}"),
            CALLBACKS: Door(at[CALLBACKS], "/v1/poc/validated", "/v1/poc/validated", f"Bearer {token}"),
        }
        described = {**applications, PUBLIC: public.app._others}
        yield Ports(network, traffic, doors, described)  # type: ignore[arg-type]  # the front is none, and replaced
