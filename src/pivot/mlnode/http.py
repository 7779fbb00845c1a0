"""The management API, `/api/v1/…`, in the published shapes (docs/mlnode.md).

Refusals: 401 without the bearer token, 413 for a body that is too large, 409 while another mode runs (before the body
is looked at), 422 for a body of the wrong shape, 400 for what cannot be done now, 429 when too much waits.
Each carries a sentence in `detail`.
"""

from __future__ import annotations

import hmac
import importlib.metadata
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.poc.session import NotValidating
from pivot.mlnode.poc.verification import TooMuchWaiting
from pivot.mlnode.reach import TooManyTries, Tries
from pivot.mlnode.service import ModeConflict, Service, StartInterrupted
from pivot.protocol.mlnode_api import (
    CallbackTried,
    CallbackTry,
    Done,
    Failed,
    InferenceUp,
    Mode,
    NodeState,
    PowEnvelope,
    PowInit,
    PowStatus,
    TrainStatus,
    ValidateRequest,
)

PREFIX = "/api/v1"
MAX_BODY_BYTES = 2**20

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_MODES = {"pow": Mode.POW, "inference": Mode.INFERENCE, "train": Mode.TRAIN}
_STATUS = {
    ModeConflict: HTTPStatus.CONFLICT,
    StartInterrupted: HTTPStatus.CONFLICT,
    NotValidating: HTTPStatus.BAD_REQUEST,
    TooMuchWaiting: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyTries: HTTPStatus.TOO_MANY_REQUESTS,
}


def management_app(service: Service, *, token: str = "", lifespan: Lifespan | None = None) -> FastAPI:
    """The application on the management port. token: demanded on every `/api/v1` route unless empty."""
    app = FastAPI(title="Pivot ML node", version=importlib.metadata.version("pivot"), lifespan=lifespan)
    app.add_middleware(Gate, service=service, token=token)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(EngineFailed, _engine_failed)
    for refusal in _STATUS:
        app.add_exception_handler(refusal, _refusal)
    app.include_router(_node_routes(service), prefix=PREFIX, tags=["node"])
    app.include_router(_inference_routes(service), prefix=f"{PREFIX}/inference", tags=["inference"])
    app.include_router(_pow_routes(service), prefix=f"{PREFIX}/pow", tags=["proof of compute"])
    app.include_router(_train_routes(), prefix=f"{PREFIX}/train", tags=["training"])

    @app.get("/health")
    async def health() -> Done:
        """Whether the node itself is up, whatever it is doing."""
        return Done()

    return app


def _node_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/state", response_model_exclude_none=True)
    async def state() -> NodeState:
        """What the node is doing."""
        return service.state

    @router.post("/stop")
    async def stop() -> Done:
        """End whatever runs or is being started."""
        await service.stop()
        return Done()

    tries = Tries()

    @router.post("/callback/try")
    async def try_callback(wanted: CallbackTry) -> CallbackTried:
        """Whether this machine reaches a network node's call-back port; whatever the node is doing."""
        return await tries.reach(wanted.url)

    return router


def _inference_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post("/up", responses={500: {"model": Failed}})
    async def up(request: InferenceUp) -> Done:
        """Serve a model. Answers once the engine does; the same request again changes nothing."""
        await service.serve(request)
        return Done()

    @router.post("/down")
    async def down() -> Done:
        """End serving."""
        await service.stop(Mode.INFERENCE)
        return Done()

    return router


def _pow_routes(service: Service) -> APIRouter:
    router = APIRouter()

    def envelope() -> PowEnvelope:
        return PowEnvelope(pow_status=service.pow_status)

    @router.post("/init/generate", response_model_exclude_none=True)
    async def generate(init: PowInit) -> PowEnvelope:
        """Generate fingerprints; they go to `url/generated`. The same request again changes nothing."""
        await service.generate(init)
        return envelope()

    @router.post("/init/validate", response_model_exclude_none=True)
    async def validate(init: PowInit) -> PowEnvelope:
        """Be ready to check leaves of other hosts."""
        await service.validate(init)
        return envelope()

    @router.post("/validate")
    async def submit(request: ValidateRequest) -> None:
        """Check leaves; the distances go to `url/validated`."""
        service.submit(request)

    @router.get("/status", response_model_exclude_none=True)
    async def status() -> PowStatus:
        """What the proof of compute is doing."""
        return service.pow_status

    @router.post("/stop", response_model_exclude_none=True)
    async def stop() -> PowEnvelope:
        """End the proof of compute, giving computed leaves a moment to be sent."""
        await service.stop(Mode.POW)
        return envelope()

    return router


def _train_routes() -> APIRouter:
    router = APIRouter()

    @router.post("/start")
    async def start() -> None:
        """Refused: training is not offered by this node."""
        raise HTTPException(HTTPStatus.NOT_IMPLEMENTED, "Training is not offered by this node.")

    @router.post("/stop")
    async def stop() -> None:
        """Refused: no training runs."""
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Training is not running")

    @router.get("/status", response_model_exclude_none=True)
    async def status() -> TrainStatus:
        """Whether a training runs."""
        return TrainStatus(status=False)

    return router


class Gate:
    """What is checked before a request's body is read: the token, the mode, the size."""

    def __init__(self, app: ASGIApp, *, service: Service, token: str) -> None:
        self._app = app
        self._service = service
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "http":
            refusal = self._refuse(Request(scope))
            if refusal:
                await refusal(scope, receive, send)
                return
            receive = _bounded(receive)
        await self._app(scope, receive, send)

    def _refuse(self, request: Request) -> JSONResponse | None:
        path = request.url.path
        if not path.startswith(PREFIX + "/"):
            return None
        given = request.headers.get("authorization", "").encode()
        if self._expected and not hmac.compare_digest(given, self._expected):
            detail = "This node wants its bearer token (MLNODE_TOKEN) in the Authorization header."
            return _answer(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        mode = _MODES.get(path.removeprefix(PREFIX + "/").split("/")[0])
        try:
            if mode:
                self._service.require(mode)
        except ModeConflict as error:
            return _answer(HTTPStatus.CONFLICT, str(error))
        return None


_TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES} bytes."


def _bounded(receive: Receive) -> Receive:
    """Refuse a body that turns out too large while it is read, whatever its headers said."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return bounded


def _answer(status: HTTPStatus, detail: object, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    return _answer(_STATUS[type(error)], str(error))


async def _wrong_shape(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's own shape, without an echo of the body: it may hold a token."""
    if not isinstance(error, RequestValidationError):
        raise error
    detail = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


async def _engine_failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(Failed(message=str(error)).model_dump(), HTTPStatus.INTERNAL_SERVER_ERROR)
