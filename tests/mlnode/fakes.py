"""Stand-ins for what lies outside the part under test: an API node that takes call-backs, an engine that obeys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from starlette.types import ASGIApp

from pivot.mlnode.engines.base import EngineFailed
from pivot.protocol.mlnode_api import (
    GeneratedBatch,
    InferenceState,
    InferenceStatus,
    InferenceUp,
    PowInit,
    TrainStart,
    TrainStatus,
    ValidatedBatch,
)

SEED = bytes(range(32))
HOST = "gonka1host"


def sprint(url: str = "http://127.0.0.1:1", **changes: object) -> PowInit:
    """A request to begin a sprint on the devnet preset."""
    fields = {
        "node_id": 3,
        "preset": "devnet",
        "sprint_seed": SEED.hex(),
        "epoch": 7,
        "host_address": HOST,
        "block_height": 100,
        "url": url,
        "max_rate": 2_000,
    }
    return PowInit.model_validate(fields | changes)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what must come true; the test's timeout is the limit."""
    while not condition():
        await asyncio.sleep(0.005)


class FakeApiNode:
    """Takes call-backs as an API node does, or refuses them with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.calls = 0
        self.tokens: set[str | None] = set()
        self.generated: dict[str, GeneratedBatch] = {}
        self.validated: list[ValidatedBatch] = []
        self.url = ""

    @property
    def leaves(self) -> int:
        """Leaves taken so far."""
        return sum(batch.count for batch in self.generated.values())

    async def _generated(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return web.Response(status=self.status)
        batch = GeneratedBatch.model_validate_json(await request.read())
        assert self.generated.setdefault(batch.batch_id, batch) == batch
        return web.Response()

    async def _validated(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return web.Response(status=self.status)
        self.validated.append(ValidatedBatch.model_validate_json(await request.read()))
        return web.Response()

    def _refused(self, request: web.Request) -> bool:
        self.calls += 1
        self.tokens.add(request.headers.get("Authorization"))
        return self.status != 200

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[FakeApiNode]:
        node = cls()
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/generated", node._generated)
        app.router.add_post("/validated", node._validated)
        async with TestServer(app) as server:
            node.url = str(server.make_url("")).rstrip("/")
            yield node


class FakeEngine:
    """An engine without a model: comes up when `may_start` is set, fails for the model `bad`, breaks on demand.

    Once `parks` is set it can be parked.
    """

    url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.alive = False
        self.parks = False
        self.parked = False
        self.starts: list[InferenceUp] = []
        self.stops = 0
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.break_with: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> InferenceStatus:
        idle = InferenceState.PARKED if self.parked else InferenceState.STOPPED
        return InferenceStatus(state=InferenceState.READY if self.alive else idle)

    async def start(self, request: InferenceUp) -> None:
        self.starts.append(request)
        await self.may_start.wait()
        if request.model == "bad":
            raise EngineFailed("no such model: 'bad'")
        self.alive, self.parked = True, False

    async def park(self) -> None:
        if self.parks:
            self.alive, self.parked = False, True
        else:
            await self.stop()

    async def stop(self) -> None:
        self.alive = self.parked = False
        self.stops += 1

    async def broken(self) -> str:
        return await asyncio.shield(self.break_with)


class FakeTraining:
    """A training without a process: finishes, or breaks, when `end_with` gets a reason; empty for a finished one."""

    def __init__(self) -> None:
        self.running = False
        self.starts: list[TrainStart] = []
        self.end_with: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self, request: TrainStart) -> None:
        self.starts.append(request)
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def broken(self) -> str:
        return await asyncio.shield(self.end_with)

    def status(self) -> TrainStatus:
        return TrainStatus(status=self.running)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """An ASGI application over real HTTP. Yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started or serving.done())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def client(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client below one address."""
    async with aiohttp.ClientSession(url) as session:
        yield session
