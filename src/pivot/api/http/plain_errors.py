"""Refusals of the admin and the call-back port: `{"error": "a sentence"}`."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pivot.api.fleet.declaration import complaint


def answer_refusals(app: FastAPI, refusals: Mapping[type[Exception], HTTPStatus]) -> None:
    """Answer these exceptions with their sentence, and malformed requests with one that names the field."""
    for refusal, status in refusals.items():
        app.add_exception_handler(refusal, _handler(status))
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(HTTPException, _http_error)


def _handler(status: HTTPStatus) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    return answer


async def _wrong_shape(_: Request, error: Exception) -> JSONResponse:
    """Without an echo of what was sent: it may hold a token."""
    if not isinstance(error, RequestValidationError):
        raise error
    return JSONResponse({"error": complaint(error.errors()[0])}, HTTPStatus.BAD_REQUEST)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
