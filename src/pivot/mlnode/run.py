"""The ML node as a process: parts put together, served until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI

from pivot.mlnode.callback_hosts import CallbackHosts, GuardedResolver
from pivot.mlnode.changes import END_NODE
from pivot.mlnode.engines.choice import planner
from pivot.mlnode.engines.serving import ServingEngine
from pivot.mlnode.http.app import Access, Lifespan, management_app
from pivot.mlnode.listening import listen
from pivot.mlnode.logs import configure_logs
from pivot.mlnode.model_cache import cache_folders, held_models
from pivot.mlnode.poc.groups import workers_on
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.reach import Tries
from pivot.mlnode.service import Service
from pivot.mlnode.settings import MlNodeSettings
from pivot.mlnode.tls import Tls, tls_of
from pivot.mlnode.training.job import BUNDLED_TRAINER, TrainingJob
from pivot.mlnode.watches import ClockWatch, DeviceWatch

GRACE_S = 1
"""How long requests may take to finish once the node is told to end; whole seconds."""
KEEP_ALIVE_S = 75
JOURNALS = "sprints"
"""Folder of the leaves in the node's own folder."""

log = logging.getLogger(__name__)


async def run_mlnode(settings: MlNodeSettings) -> None:
    """Serve the management API until SIGINT or SIGTERM; then end what runs. Raises CannotListen, UnusableCertificate."""
    configure_logs(settings.log_level)
    tls = tls_of(settings)
    with listen(settings.host, settings.management_port, "MLNODE_MANAGEMENT_PORT") as listening:
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(), ssl=tls.calls if tls else True)
        async with aiohttp.ClientSession(connector=connector) as session:
            config = uvicorn.Config(
                _node(settings, session, tls),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=KEEP_ALIVE_S,
                ssl_context_factory=(lambda _, __: tls.ports) if tls else None,
            )
            # uvicorn raises the signal again when it has ended gracefully; by then there is nothing more to do
            for ending in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(ending, log.info, "ended by %s", ending.name)
            log.info("management on %s:%d", settings.host, settings.management_port)
            await uvicorn.Server(config).serve([listening])


def _node(settings: MlNodeSettings, session: aiohttp.ClientSession, tls: Tls | None) -> FastAPI:
    """The parts of a node, put together."""
    caches = cache_folders(os.environ)
    clock, devices = ClockWatch(), DeviceWatch()
    service = Service(
        PowSession(
            session,
            journals=settings.state_dir / JOURNALS if settings.state_dir else None,
            make_workers=workers_on(
                devices,
                os.environ.get("CUDA_VISIBLE_DEVICES"),
                settings.poc_backend,
                settings.poc_python or sys.executable,
            ),
        ),
        ServingEngine(session, planner(settings), settings.host, settings.inference_port, tls.ports if tls else None),
        TrainingJob(settings.trainings, settings.train_command or BUNDLED_TRAINER),
        notices=lambda: [*clock.warnings, *devices.warnings],
    )
    return management_app(
        service,
        access=Access(token=settings.token, public=settings.public, guarded=settings.guarded),
        devices=devices,
        clock=clock,
        callback_hosts=CallbackHosts(settings.callback_hosts, known_callers=settings.guarded),
        models=lambda: held_models(settings.models_dir, caches),
        tries=Tries(tls.calls if tls else None),
        lifespan=_alive(service, clock, devices),
    )


def _alive(service: Service, clock: ClockWatch, devices: DeviceWatch) -> Lifespan:
    """Watches while the node lives; at its end, what runs is ended."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = [asyncio.create_task(watch.run()) for watch in (clock, devices)]
        yield
        for watch in watching:
            watch.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await service.stop(END_NODE)

    return lifespan
