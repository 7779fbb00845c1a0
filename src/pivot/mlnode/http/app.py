"""The application on the management port, and how it refuses.

Refusals: 401 without the bearer token, 413 for a body that is too large, 409 while another mode runs (before the body
is looked at), 422 for a body of the wrong shape, 403 for what an unguarded node does not take, 400 for what cannot be done,
429 when too much waits. Each carries a sentence in `detail`. What should have started and did not is a 500 with `message`.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from pivot.mlnode.callback_hosts import CallbackHosts, ForeignCallback
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.http.gate import METRICS_PATH, PREFIX, Gate, refused
from pivot.mlnode.http.inference import inference_routes
from pivot.mlnode.http.node import Models, node_routes
from pivot.mlnode.http.proof import proof_routes
from pivot.mlnode.http.training import training_routes
from pivot.mlnode.http.unguarded import Unguarded
from pivot.mlnode.metrics import CONTENT_TYPE, Metrics
from pivot.mlnode.poc.session import NotValidating
from pivot.mlnode.poc.verification import TooMuchWaiting
from pivot.mlnode.reach import TooManyTries, Tries
from pivot.mlnode.service import ModeConflict, OtherSprint, Service, StartInterrupted, StartTooSlow, StopFailed
from pivot.mlnode.training.job import AlreadyTraining, NotTraining, TrainingFailed
from pivot.mlnode.watches import ClockWatch, DeviceWatch
from pivot.protocol.mlnode_api import Done, Failed

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_STATUS = {
    AlreadyTraining: HTTPStatus.BAD_REQUEST,
    NotTraining: HTTPStatus.BAD_REQUEST,
    NotValidating: HTTPStatus.BAD_REQUEST,
    OtherSprint: HTTPStatus.BAD_REQUEST,
    ForeignCallback: HTTPStatus.BAD_REQUEST,
    Unguarded: HTTPStatus.FORBIDDEN,
    ModeConflict: HTTPStatus.CONFLICT,
    StartInterrupted: HTTPStatus.CONFLICT,
    TooMuchWaiting: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyTries: HTTPStatus.TOO_MANY_REQUESTS,
}
_FAILURES = (EngineFailed, TrainingFailed, StartTooSlow, StopFailed)


@dataclass(frozen=True)
class Access:
    """Who may ask what of the management port."""

    token: str = ""
    """Demanded on every route of the API unless empty."""
    public: bool = False
    """The port is bound to a public address: then the metrics want the token, too."""
    guarded: bool = True
    """Others are kept out: by the token, by listening to this machine alone, or by what the host has set up around it."""


def management_app(
    service: Service,
    *,
    access: Access = Access(),
    devices: DeviceWatch | None = None,
    clock: ClockWatch | None = None,
    callback_hosts: CallbackHosts | None = None,
    models: Models = list,
    tries: Tries | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The application on the management port. models: lists what this machine has; may take its time."""
    version = importlib.metadata.version("pivot")
    devices, clock = devices or DeviceWatch(), clock or ClockWatch()
    callback_hosts = callback_hosts or CallbackHosts()
    answers: Counter[int] = Counter()
    metrics = Metrics(service, devices, clock, answers, version)
    app = FastAPI(title="Pivot ML node", version=version, lifespan=lifespan)
    app.add_middleware(Gate, service=service, token=access.token, metrics_too=access.public, refused=answers)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    for refusal in _STATUS:
        app.add_exception_handler(refusal, _refusal)
    for failure in _FAILURES:
        app.add_exception_handler(failure, _failure)
    of_node = node_routes(service, devices, callback_hosts, models, version, tries or Tries())
    app.include_router(of_node, prefix=PREFIX, tags=["node"])
    app.include_router(inference_routes(service, access.guarded), prefix=f"{PREFIX}/inference", tags=["inference"])
    app.include_router(proof_routes(service, callback_hosts), prefix=f"{PREFIX}/pow", tags=["proof of compute"])
    app.include_router(training_routes(service, access.guarded), prefix=f"{PREFIX}/train", tags=["training"])

    @app.get("/health")
    async def health() -> Done:
        """Whether the node itself is up, whatever it is doing."""
        return Done()

    @app.get(METRICS_PATH, response_class=Response)
    async def metrics_page() -> Response:
        """What Prometheus gathers."""
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    return app


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    return refused(_STATUS[type(error)], str(error))


async def _failure(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(Failed(message=str(error)).model_dump(), HTTPStatus.INTERNAL_SERVER_ERROR)


async def _wrong_shape(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's own shape, without an echo of the body: it may hold a token."""
    if not isinstance(error, RequestValidationError):
        raise error
    detail = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
    return refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
