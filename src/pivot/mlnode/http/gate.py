"""What is checked before a request's body is read: the token, the mode, the size. What is refused is counted."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pivot.mlnode.service import ModeConflict, Service
from pivot.protocol.mlnode_api import Mode

PREFIX = "/api/v1"
METRICS_PATH = "/metrics"
MAX_BODY_BYTES = 2**20
MODES = {"pow": Mode.POW, "inference": Mode.INFERENCE, "train": Mode.TRAIN}
"""First part of a path to the mode in which alone, or in STOPPED, its routes are there."""
ANY_MODE = f"{PREFIX}/inference/status"
TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES} bytes."

_VERSION = re.compile(r"^/v[0-9][^/]*(?=/(?:api/v1/|health$|metrics$))")
"""What a gateway for several versions side by side puts before a path."""


class Gate:
    """Lets a request through, or answers it.

    token: demanded on every route of the API unless empty. metrics_too: and on the metrics.
    refused: gets the number of answers by their status, from 400 on.
    """

    def __init__(self, app: ASGIApp, *, service: Service, token: str, metrics_too: bool, refused: Counter[int]) -> None:
        self._app = app
        self._service = service
        self._expected = f"Bearer {token}".encode() if token else b""
        self._metrics_too = metrics_too
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then go on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                self._refused[message["status"]] += 1
            await send(message)

        path = _VERSION.sub("", scope["path"])
        scope = {**scope, "path": path}
        answer = self._refusal(path, Headers(scope=scope)) or self._app
        await answer(scope, _bounded(receive), counting)

    def _refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        """`path` is the one by which routes are found, so that no way of writing a URL leads past this."""
        if not path.startswith(PREFIX + "/"):
            return self._without_token(headers) if path == METRICS_PATH and self._metrics_too else None
        if refusal := self._without_token(headers):
            return refusal
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            return refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        mode = MODES.get(path.removeprefix(PREFIX + "/").split("/")[0])
        if mode and path != ANY_MODE:
            try:
                self._service.require(mode)
            except ModeConflict as error:
                return refused(HTTPStatus.CONFLICT, str(error))
        return None

    def _without_token(self, headers: Headers) -> JSONResponse | None:
        given = headers.get("authorization", "").encode("latin-1")
        if not self._expected or hmac.compare_digest(given, self._expected):
            return None
        detail = "This node wants its bearer token (MLNODE_TOKEN) in the Authorization header."
        return refused(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


def refused(status: HTTPStatus, detail: object, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal in the published shape."""
    return JSONResponse({"detail": detail}, status, headers)


def _bounded(receive: Receive) -> Receive:
    """Refuse a body that turns out too large while it is read, whatever its headers said."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return message

    return bounded
