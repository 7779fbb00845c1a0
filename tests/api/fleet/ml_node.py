"""An ML node in this process: the management port's state machine and the inference port, with faults that tests switch on.

Its fingerprints are the nonce's bytes, so that a test can tell what it must be sent.
"""

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from pivot.protocol.mlnode_api import (
    CallbackTried,
    CallbackTry,
    GeneratedBatch,
    Mode,
    PowInit,
    PowState,
    TrainStart,
    TrainStatus,
    ValidatedBatch,
    ValidateRequest,
    encode_fingerprints,
)
from pivot.protocol.sprint import FINGERPRINT_BYTES, distance, nonce_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def fingerprint(nonce: int) -> bytes:
    return struct.pack(">4Q", *(nonce & 0x00FF00FF00FF00FF for _ in range(4)))


@dataclass
class FakeMlNode:
    port: int = 0
    mode: Mode = Mode.STOPPED
    pow: PowState = PowState.NOT_LOADED
    init: PowInit | None = None
    next_index: int = 0
    model: str = ""
    arguments: list[str] = field(default_factory=list)
    healthy: bool = True
    token: str = ""
    error: str = ""
    warnings: list[str] = field(default_factory=list)
    starting: dict[str, Any] | None = None
    """What it tells of the start of its engine; None when it does not know the route."""
    calls: list[str] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    """Path to the status with which it is refused."""
    hangs: set[str] = field(default_factory=set)
    """Paths that do not answer."""
    slowness_s: float = 0.0
    """How long it takes to each answer."""
    frozen: bool = False
    """Takes connections and answers nothing."""
    up_fails: str = ""
    callback_status: int = 401
    """What it finds at the call-back port; 0: nobody."""
    silent_checks: bool = False
    """Takes leaves to check and never answers."""
    wrong_distances: int | None = None
    """Answers checks with so many distances."""
    checked: list[ValidateRequest] = field(default_factory=list)
    training: TrainStart | None = None
    """The last that it was told to run."""
    training_ended: int | None = None
    """With which exit code; None while it runs."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _runner: web.AppRunner = field(init=False, repr=False)
    _site: web.TCPSite = field(init=False, repr=False)

    @classmethod
    @asynccontextmanager
    async def running(cls, **fields: Any) -> AsyncIterator["FakeMlNode"]:
        node = cls(**fields)
        app = web.Application(middlewares=[node._gate], client_max_size=2**22)
        app.router.add_get("/api/v1/state", node._state)
        app.router.add_get("/api/v1/pow/status", node._status)
        app.router.add_post("/api/v1/callback/try", node._try_callback)
        app.router.add_post("/api/v1/stop", node._stop)
        app.router.add_post("/api/v1/inference/up", node._up)
        app.router.add_get("/api/v1/inference/status", node._inference_status)
        app.router.add_post("/api/v1/pow/init/generate", node._generate)
        app.router.add_post("/api/v1/pow/init/validate", node._init_validate)
        app.router.add_post("/api/v1/pow/validate", node._validate)
        app.router.add_post("/api/v1/train/start", node._train)
        app.router.add_get("/api/v1/train/status", node._train_status)
        app.router.add_get("/health", node._health)
        app.router.add_get("/v1/models", node._models)
        node._runner = runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await node.come_back()
        try:
            yield node
        finally:
            for task in node.tasks:
                task.cancel()
            await asyncio.gather(*node.tasks, return_exceptions=True)
            await runner.cleanup()

    async def come_back(self) -> None:
        """Listen, at the port that it had."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = self._site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def die(self) -> None:
        """End all connections, and listen no more."""
        await self._site.stop()
        await self._server.shutdown(0.001)  # 0 would wait for ever

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._server.connections)

    @property
    def _server(self) -> web.Server:
        assert self._runner.server is not None
        return self._runner.server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end_training(self, exit_code: int) -> None:
        """The job ends by itself."""
        self.mode, self.training_ended = Mode.STOPPED, exit_code

    def declared(self, node_id: str = "node1", **fields: Any) -> dict[str, Any]:
        """Its declaration: both ports are one here, told apart by the segment."""
        return {
            "id": node_id,
            "host": "127.0.0.1",
            "inference_port": self.port,
            "poc_port": self.port,
            "max_concurrent": 2,
            "models": {"pivot/tiny-chat": {"args": []}},
            **fields,
        }

    async def send_leaves(self, count: int, *, first_index: int | None = None) -> int:
        """Send the next leaves as the sprint's init says. Returns the status of the answer."""
        assert self.init is not None
        first = self.next_index if first_index is None else first_index
        leaves = b"".join(fingerprint(nonce_of(self.init.node_id, first + i)) for i in range(count))
        batch = GeneratedBatch(
            epoch=self.init.epoch,
            host_address=self.init.host_address,
            node_id=self.init.node_id,
            batch_id=f"{first}-{count}",
            first_index=first,
            fingerprints=encode_fingerprints(leaves),
        )
        status = await self._post("/generated", batch.model_dump_json())
        if status == 200:
            self.next_index = first + count
        return status

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls.append(request.path)
        if self.frozen or request.path in self.hangs:
            await asyncio.sleep(60)
        await asyncio.sleep(self.slowness_s)
        if request.path in self.refuses:
            return web.json_response({"detail": "refused by the test"}, status=self.refuses[request.path])
        if (
            self.token
            and request.path.startswith("/api/")
            and request.headers.get("Authorization") != f"Bearer {self.token}"
        ):
            return web.json_response({"detail": "no token"}, status=401)
        return await handler(request)

    async def _state(self, _: web.Request) -> web.Response:
        said = {"error": self.error, "warnings": self.warnings}
        return web.json_response({"state": self.mode, **{name: what for name, what in said.items() if what}})

    async def _status(self, _: web.Request) -> web.Response:
        if self.mode != Mode.POW:
            return web.json_response({"detail": "another mode"}, status=409)
        assert self.init is not None
        status = {"status": self.pow, "epoch": self.init.epoch, "next_index": self.next_index}
        return web.json_response(status)

    async def _try_callback(self, request: web.Request) -> web.Response:
        wanted = CallbackTry.model_validate_json(await request.read())
        error = "" if self.callback_status else f"{wanted.url} is far"
        return web.json_response(CallbackTried(status=self.callback_status, error=error).model_dump())

    async def _stop(self, _: web.Request) -> web.Response:
        self.mode, self.pow, self.init = Mode.STOPPED, PowState.NOT_LOADED, None
        return web.json_response({"status": "OK"})

    async def _up(self, request: web.Request) -> web.Response:
        if self.mode not in {Mode.STOPPED, Mode.INFERENCE}:
            return web.json_response({"detail": "stop first"}, status=409)
        if self.up_fails:
            return web.json_response({"status": "ERROR", "message": self.up_fails})
        body = await request.json()
        self.mode, self.model, self.arguments = Mode.INFERENCE, body["model"], body["additional_args"]
        return web.json_response({"status": "OK"})

    async def _inference_status(self, _: web.Request) -> web.Response:
        return web.json_response(self.starting or {"detail": "Not Found"}, status=200 if self.starting else 404)

    async def _generate(self, request: web.Request) -> web.Response:
        if self.mode not in {Mode.STOPPED, Mode.POW}:
            return web.json_response({"detail": "stop first"}, status=409)
        self.init = PowInit.model_validate_json(await request.read())
        self.mode, self.pow, self.next_index = Mode.POW, PowState.GENERATING, self.init.first_index
        return web.json_response({"status": "OK", "pow_status": {"status": self.pow}})

    async def _init_validate(self, request: web.Request) -> web.Response:
        if self.mode not in {Mode.STOPPED, Mode.POW}:
            return web.json_response({"detail": "stop first"}, status=409)
        self.init = PowInit.model_validate_json(await request.read())
        self.mode, self.pow = Mode.POW, PowState.VALIDATING
        return web.json_response({"status": "OK", "pow_status": {"status": self.pow}})

    async def _train(self, request: web.Request) -> web.Response:
        if self.mode != Mode.STOPPED:
            return web.json_response({"detail": "stop first"}, status=409)
        self.training = TrainStart.model_validate_json(await request.read())
        self.mode, self.training_ended = Mode.TRAIN, None
        return web.json_response({"status": "Training started"})

    async def _train_status(self, _: web.Request) -> web.Response:
        if self.mode not in {Mode.STOPPED, Mode.TRAIN}:
            return web.json_response({"detail": "another mode"}, status=409)
        status = TrainStatus(status=False)
        if self.training:
            task_id = self.training.train_env["TASK_ID"]
            status = TrainStatus(status=self.mode == Mode.TRAIN, task_id=task_id, exit_code=self.training_ended)
        return web.json_response(status.model_dump(exclude_none=True))

    async def _validate(self, request: web.Request) -> web.Response:
        if self.pow != PowState.VALIDATING:
            return web.json_response({"detail": "not validating"}, status=400)
        wanted = ValidateRequest.model_validate_json(await request.read())
        self.checked.append(wanted)
        if not self.silent_checks:
            task = asyncio.create_task(self._answer_check(wanted))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return web.json_response(None)

    async def _answer_check(self, wanted: ValidateRequest) -> None:
        pairs = zip(wanted.nonces, wanted.leaves(), strict=True)
        distances = [distance(fingerprint(nonce), leaf) for nonce, leaf in pairs]
        answer = ValidatedBatch(batch_id=wanted.batch_id, distances=distances[: self.wrong_distances])
        await self._post("/validated", answer.model_dump_json())

    async def _post(self, path: str, body: str) -> int:
        assert self.init is not None
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.init.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.init.url + path, data=body, headers=headers) as answer,
        ):
            return answer.status

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.mode == Mode.INFERENCE and self.healthy else 503)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model}]})


def random_leaf() -> bytes:
    return secrets.token_bytes(FINGERPRINT_BYTES)
