"""ASGI applications on free ports of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pivot.api.http.errors import ApiError, Unavailable
from pivot.api.ledger.interface import LedgerError


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Its URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.force_exit = True
        await server.shutdown()


def public_port(*routes: Route) -> Starlette:
    """Some routes of a host's public port, with the error objects that it answers."""

    async def refused(_: Request, error: Exception) -> Response:
        refusal = cast(ApiError, error)
        return Response(refusal.body(), refusal.status, media_type="application/json")

    async def chain_away(request: Request, error: Exception) -> Response:
        return await refused(request, Unavailable(str(error)))

    return Starlette(routes=routes, exception_handlers={ApiError: refused, LedgerError: chain_away})
