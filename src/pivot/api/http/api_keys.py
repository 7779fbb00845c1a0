"""Routes of the admin port on which a host issues API keys, looks at them, and revokes them."""

import time
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from pivot.api.http.errors import ApiError, BadRequest
from pivot.api.http.usage import shown
from pivot.api.keys.issued import MAX_SECRET_LENGTH, MIN_SECRET_LENGTH, IssuedKeys, Terms
from pivot.primitives.numbers import MAX_INT64

PATH = "/admin/v1/keys/api"
MAX_NAME_LENGTH = 100
MAX_RATE = 10_000_000
MAX_CONCURRENCY = 1_000_000
NEVER_S = 2**40
"""Beyond every calendar; times above it are given in another unit than seconds."""


class NewKey(BaseModel, extra="forbid"):
    """What a key is to allow; what is left out has no limit."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f]+$")]
    budget: Annotated[int, Field(ge=0, le=MAX_INT64)] | None = None
    """ngonka."""
    rate: Annotated[int, Field(ge=1, le=MAX_RATE)] | None = None
    """Requests a minute."""
    concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None = None
    expires_at: Annotated[int, Field(ge=0, lt=NEVER_S)] | None = None
    """Seconds since 1970."""
    key: (
        Annotated[
            str, Field(min_length=MIN_SECRET_LENGTH, max_length=MAX_SECRET_LENGTH, pattern=r"^[A-Za-z0-9._~+/=-]+$")
        ]
        | None
    ) = None
    """One that was made elsewhere, for a host whose developers have theirs already."""


def serve_api_keys(app: FastAPI, keys: IssuedKeys) -> None:
    """Add the routes to the admin port's application."""
    app.add_exception_handler(ApiError, _refused)

    @app.post(PATH, status_code=HTTPStatus.CREATED)
    async def issue(new: NewKey) -> dict[str, Any]:
        """Issue a key. `key` in the answer is told this once."""
        if new.expires_at is not None and new.expires_at <= time.time():
            raise BadRequest("expires_at lies in the past", param="expires_at")
        terms = Terms(new.name, new.budget, new.rate, new.concurrency, new.expires_at)
        issued, secret = await keys.issue(terms, new.key or "")
        return {**shown(issued), "key": secret}

    @app.get(PATH)
    async def all_keys() -> list[dict[str, Any]]:
        """All keys with their usage, also those that were revoked."""
        return [shown(each) for each in keys.all()]

    @app.delete(PATH + "/{key_id}")
    async def revoke(key_id: str) -> dict[str, Any]:
        """Refuse a key from now on."""
        return shown(await keys.revoke(key_id))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse({"error": error.message}, error.status)
