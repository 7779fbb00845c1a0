"""The ML node as a process: parts put together, served until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI

from pivot.mlnode.engines.embedded.engine import embedded_engine
from pivot.mlnode.http import Lifespan, management_app
from pivot.mlnode.listening import listen
from pivot.mlnode.logs import configure_logs
from pivot.mlnode.model_cache import cache_folders
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.service import Service
from pivot.mlnode.settings import MlNodeSettings

GRACE_S = 1
"""How long requests may take to finish once the node is told to end; whole seconds."""
KEEP_ALIVE_S = 75

log = logging.getLogger(__name__)


async def run_mlnode(settings: MlNodeSettings) -> None:
    """Serve the management API until SIGINT or SIGTERM; then end what runs. Raises CannotListen."""
    configure_logs(settings.log_level)
    with listen(settings.host, settings.management_port, "MLNODE_MANAGEMENT_PORT") as listening:
        async with aiohttp.ClientSession() as session:
            caches = cache_folders(os.environ)
            engine = embedded_engine(session, settings.models_dir, settings.host, settings.inference_port, caches)
            service = Service(PowSession(session), engine)
            app = management_app(service, token=settings.token, lifespan=_ending(service))
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
            # uvicorn raises the signal again when it has ended gracefully; by then there is nothing more to do
            for ending in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(ending, log.info, "ended by %s", ending.name)
            log.info("management on %s:%d", settings.host, settings.management_port)
            await uvicorn.Server(config).serve([listening])


def _ending(service: Service) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.stop()

    return lifespan
