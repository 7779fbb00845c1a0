"""One instance of a model: a process that is kept serving.

It is asked for its health every few seconds; when it ends, or hangs, it is started again after growing pauses. Only when it
does not come to serve for long, several times running, it is given up; at once when it ends while it is parked, since a sprint
has the devices then.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from http import HTTPStatus

import aiohttp

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.plan import InstancePlan, ParkingFailed, Plan, Stage
from pivot.mlnode.engines.process import EngineProcess
from pivot.mlnode.engines.proxy import Backend
from pivot.protocol.mlnode_api import InferenceInstance

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 1_200.0
START_POLL_S = 0.05
HEALTH_INTERVAL_S = 5.0
HEALTH_TIMEOUT_S = 5.0
MISSES_UNTIL_PASSED_OVER = 3
MISSES_UNTIL_RESTARTED = 24
"""Minutes without an answer."""
STEADY_S = 60.0
"""Having served for so long, an instance's earlier failures are forgotten."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MAX_FAILURES = 5
"""Starts that came to nothing, one after the other, until an instance is given up."""

STARTING, SERVING, WAITING, GIVEN_UP = "starting the engine", "serving", "waiting to be started again", "given up"
PARKED = "its weights are kept"

log = logging.getLogger(__name__)


class Instance:
    """Runs what an InstancePlan says, for as long as `run` does."""

    def __init__(self, session: aiohttp.ClientSession, plan: Plan, own: InstancePlan) -> None:
        self._session = session
        self._plan, self._own = plan, own
        self._process: EngineProcess | None = None
        self.backend = Backend()
        self.stage = Stage(STARTING, 0)
        self.restarts = 0
        self.parked = False
        self.error: str | None = None
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once it serves; fails with EngineFailed when its first start does."""

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._process.pid if self._process else None

    def status(self) -> InferenceInstance:
        """For the node's status."""
        return InferenceInstance(
            port=self.backend.port,
            devices=list(self._own.devices),
            healthy=self.backend.healthy,
            busy=self.backend.busy,
            restarts=self.restarts,
            error=self.error,
        )

    def park(self) -> None:
        """Give it no more requests, and let it be when it ends."""
        self.parked, self.backend.healthy, self.stage = True, False, Stage(PARKED, 0)

    async def unpark(self) -> None:
        """Give it requests again. Raises ParkingFailed when it does not answer."""
        if not await self._is_healthy():
            raise ParkingFailed(f"the instance on port {self.backend.port} was woken and is not healthy")
        self.parked = False
        self._begin_serving()

    async def run(self) -> str:
        """Keep it serving. Returns why it was given up; when cancelled, nothing is left running."""
        failures = 0
        while True:
            served_s, self.error = await self._serve()
            failures = 1 if served_s >= STEADY_S else failures + 1
            log.error("the instance on port %d is down: %s", self.backend.port, self.error)
            if not self.first.done():
                self.first.set_exception(EngineFailed(self.error))
            if failures >= MAX_FAILURES or self.parked:
                self.stage = Stage(GIVEN_UP, 0)
                return self.error
            self.stage = Stage(WAITING, 0)
            await asyncio.sleep(min(FIRST_PAUSE_S * (1 << failures), LONGEST_PAUSE_S))
            self.restarts += 1

    async def _serve(self) -> tuple[float, str]:
        """Start the process and let it serve until it ends. Returns for how long it has served, and why it ended."""
        self.stage, self.backend.port = Stage(STARTING, 0), _free_port()
        served_since = None
        try:
            self._process = await EngineProcess.spawn(
                self._own.command(self.backend.port), self._own.environment, self._read_along
            )
            reason = await self._until_healthy(self._process)
            if reason is None:
                served_since = time.monotonic()
                self._begin_serving()
                reason = await self._watch(self._process)
        except EngineFailed as failure:
            reason = str(failure)
        finally:
            self.backend.healthy = False
            process, self._process = self._process, None
            if process:
                await process.stop(self._plan.stop_timeout_s)
        return (0.0 if served_since is None else time.monotonic() - served_since), reason

    def _begin_serving(self) -> None:
        self.backend.healthy, self.stage = True, Stage(SERVING, 1)
        if not self.first.done():
            self.first.set_result(None)
        log.info("an instance serves on port %d", self.backend.port)

    def _read_along(self, line: str) -> None:
        stage = self._plan.stage_of(line)
        if stage and not self.parked and self.stage.progress <= stage.progress < 1:
            self.stage = stage

    async def _until_healthy(self, process: EngineProcess) -> str | None:
        """Wait until it answers. Returns why it does not, if so."""
        ended = asyncio.create_task(process.ended())
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            while not await self._is_healthy():
                done, _ = await asyncio.wait({ended}, timeout=START_POLL_S)
                if done:
                    return await process.reason()
                if time.monotonic() > deadline:
                    return f"the engine did not come up within {START_TIMEOUT_S:.0f} s"
        finally:
            ended.cancel()
        return None

    async def _watch(self, process: EngineProcess) -> str:
        """Ask it for its health until it ends, or has been silent for too long. Returns which."""
        ended = asyncio.create_task(process.ended())
        misses = 0
        try:
            while not (await asyncio.wait({ended}, timeout=HEALTH_INTERVAL_S))[0]:
                misses = 0 if await self._is_healthy() else misses + 1
                if not self.parked and (misses == 0 or misses >= MISSES_UNTIL_PASSED_OVER):
                    self.backend.healthy = misses == 0
                if misses >= MISSES_UNTIL_RESTARTED:
                    return f"the engine has not answered {misses} questions for its health"
        finally:
            ended.cancel()
        self.backend.healthy = False
        return await process.reason()

    async def _is_healthy(self) -> bool:
        url = f"http://{LOOPBACK}:{self.backend.port}/health"
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
