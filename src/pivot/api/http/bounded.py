"""Bodies have a limit, in bytes and in time, whatever their headers say."""

import asyncio
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pivot.api.http import body


class BoundedBody:
    """Answers 413 to a request whose body is longer than `limit` bytes, 408 to one whose body does not come."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sentence = f"the body is larger than {self._limit} bytes"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            refusal = JSONResponse({"error": sentence}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            await refusal(scope, receive, send)
            return
        read, whole = 0, False
        deadline = asyncio.get_running_loop().time() + body.BODY_SECONDS

        async def bounded() -> Message:
            nonlocal read, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                told = f"the body was not whole after {body.BODY_SECONDS:g} s"
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, told, {"Connection": "close"}) from None
            read += len(message.get("body", b""))
            if read > self._limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, bounded, send)
