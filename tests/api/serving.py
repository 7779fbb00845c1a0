"""ASGI applications on free ports of this machine."""

import asyncio
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

ENDING_S, ENDING_STEPS = 0.1, 50
"""How long connections and requests may take to end, and how often it is looked whether they have."""


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[uvicorn.Server]:
    """Its server."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await _end(server)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Its URL."""
    async with served(app) as server:
        yield url_of(server)


def url_of(server: uvicorn.Server) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


async def _end(server: uvicorn.Server) -> None:
    """As uvicorn itself does it, which takes a tenth of a second even if nobody is connected: a thousand tests would wait for it."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    for _ in range(ENDING_STEPS):
        if not server.server_state.connections and not server.server_state.tasks:
            return
        await asyncio.sleep(ENDING_S / ENDING_STEPS)


def public_port(*routes: Route) -> Starlette:
    """Some routes of a host's public port, with the error objects that it answers."""

    async def refused(_: Request, error: Exception) -> Response:
        refusal = cast(ApiError, error)
        return Response(refusal.body(), refusal.status, media_type="application/json")

    async def chain_away(request: Request, error: Exception) -> Response:
        return await refused(request, Unavailable(str(error)))

    return Starlette(routes=routes, exception_handlers={ApiError: refused, LedgerError: chain_away})
