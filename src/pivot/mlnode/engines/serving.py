"""The engine of the ML node: a plan's instances, each kept serving, behind one proxy on the inference port."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence

import aiohttp

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.instance import GIVEN_UP, Instance
from pivot.mlnode.engines.plan import NoRoomToPark, Parking, ParkingFailed, Plan, Planner
from pivot.mlnode.engines.proxy import Proxy
from pivot.mlnode.listening import CannotListen
from pivot.protocol.mlnode_api import InferenceState, InferenceStatus, InferenceUp

DRAIN_S = 2.0
"""How long answers under way may take to end once serving ends: a sprint waits, and every second costs its host weight."""
PARKING_S = 20.0
"""How long it may take to copy the weights to the machine's memory. With DRAIN_S and the end of processes less than `service.py: STOP_S`."""
WAKING_S = 60.0
PLANNING = "looking at the model and the devices"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to reach what listens everywhere

log = logging.getLogger(__name__)


class ServingEngine:
    """Serves what `plan_of` says, on host and port. Implements `base.py: Engine`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        plan_of: Planner,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._session = session
        self._plan_of = plan_of
        self._host, self._port = host, port
        self._scheme = "https" if tls else "http"
        self._proxy = Proxy(host, port, tls)
        self._request: InferenceUp | None = None
        self._plan: Plan | None = None
        self._instances: list[Instance] = []
        self._running: list[asyncio.Task[str]] = []
        self._up = False
        self._parked: Parking | None = None
        """While it is parked: what wakes it."""
        self._futile: InferenceUp | None = None
        """What could not be parked: to try it at the beginning of each sprint would cost its host weight."""
        self._note: str | None = None
        self._error: str | None = None

    @property
    def url(self) -> str:
        """Where the model is served while `alive`."""
        host = ANY_ADDRESS.get(self._host, self._host)
        return f"{self._scheme}://[{host}]:{self._port}" if ":" in host else f"{self._scheme}://{host}:{self._port}"

    @property
    def alive(self) -> bool:
        """Whether it has come up and at least one instance has not been given up."""
        return self._up and any(not running.done() for running in self._running)

    @property
    def instances(self) -> Sequence[Instance]:
        """Those of the model that is served."""
        return self._instances

    @property
    def status(self) -> InferenceStatus:
        """What serves; see `Engine.status`."""
        return InferenceStatus(
            state=self._state(),
            model=self._request.model if self._request else None,
            stage=self._stage(),
            progress=min((each.stage.progress for each in self._instances), default=0),
            instances=[each.status() for each in self._instances],
            unused_devices=list(self._plan.unused_devices) if self._plan else [],
            note=self._note,
            error=self._error,
        )

    async def start(self, request: InferenceUp) -> None:
        """Serve this model; see `Engine.start`. Returns once every instance serves, or has failed while others do."""
        if self.alive and request == self._request:
            return
        note = None
        if self._parked and request == self._request:
            note = await self._wake(self._parked)
            if note is None:
                return
        await self.stop()
        self._request, self._note, self._error = request, note, None
        try:
            self._plan = await self._plan_of(request)
            await self._start(self._plan)
        except EngineFailed as failure:
            self._error = str(failure)
            await self.stop()
            raise
        except BaseException:
            await self.stop()
            raise
        self._up = True

    async def park(self) -> None:
        """Let answers end for a moment, close the port, and keep the weights where the plan says how; see `Engine.park`."""
        if self._parked:
            return
        parking = self._plan.parking if self._plan else None
        if parking is None or self._state() != InferenceState.READY:
            await self.stop()
            return
        if self._request == self._futile:
            self._note = "weights were not kept: this failed before, and is not tried again while the node runs"
            await self.stop()
            return
        self._up, self._parked = False, parking
        for each in self._instances:
            each.park()
        try:
            await self._proxy.close(DRAIN_S)
            async with asyncio.timeout(PARKING_S):
                await parking.park(self._session, self._ports())
        except (ParkingFailed, TimeoutError) as failure:
            self._futile = None if isinstance(failure, NoRoomToPark) else self._request
            self._note = f"weights were not kept: {str(failure) or f'this took more than {PARKING_S:g} s'}"
            log.warning(self._note)
            await self.stop()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let answers end for a moment, then end everything and close the port. What it failed of is remembered."""
        if self._given_up() and not self._parked:
            self._error = self._reason()
        self._up = False
        try:
            await self._proxy.close(DRAIN_S)
        finally:
            running, self._running = self._running, []
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            self._instances, self._plan, self._parked = [], None, None
            if self._error is None:
                self._request = None

    async def broken(self) -> str:
        """Wait until every instance has been given up. Returns why the last one was."""
        if not self._running:
            return "no engine was started"
        await asyncio.wait(self._running)
        return self._reason()

    async def _start(self, plan: Plan) -> None:
        self._instances = [Instance(self._session, plan, each) for each in plan.instances]
        try:
            await self._proxy.open([instance.backend for instance in self._instances])
        except CannotListen as error:
            raise EngineFailed(f"the engine cannot be started: {error}") from error
        self._running = [asyncio.create_task(instance.run()) for instance in self._instances]
        results = await asyncio.gather(*(instance.first for instance in self._instances), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if len(failures) == len(results):
            raise failures[0]

    async def _wake(self, parking: Parking) -> str | None:
        """Serve again what is parked. Returns why it does not, if so."""
        self._parked, self._note = None, None
        try:
            async with asyncio.timeout(WAKING_S):
                await parking.wake(self._session, self._ports())
                await asyncio.gather(*(each.unpark() for each in self._instances))
            await self._proxy.open([instance.backend for instance in self._instances])
        except (ParkingFailed, CannotListen, TimeoutError) as failure:
            note = (
                f"weights that were kept are loaded again: {str(failure) or f'to wake took more than {WAKING_S:g} s'}"
            )
            log.warning(note)
            return note
        except BaseException:
            await self.stop()
            raise
        self._up = True
        return None

    def _ports(self) -> list[int]:
        return [each.backend.port for each in self._instances]

    def _given_up(self) -> bool:
        return bool(self._instances) and all(each.stage.text == GIVEN_UP for each in self._instances)

    def _reason(self) -> str:
        return next((each.error for each in reversed(self._instances) if each.error), "the engine was stopped")

    def _state(self) -> InferenceState:
        if self._parked:
            ended = all(running.done() for running in self._running)
            return InferenceState.STOPPED if ended else InferenceState.PARKED
        healthy = [each.backend.healthy for each in self._instances]
        if self._error is not None or (self._given_up() and not self._parked):
            return InferenceState.FAILED
        if self._request is None:
            return InferenceState.STOPPED
        if healthy and all(healthy):
            return InferenceState.READY
        return InferenceState.DEGRADED if any(healthy) else InferenceState.STARTING

    def _stage(self) -> str:
        if self._request is None or self._error is not None:
            return ""
        if not self._instances:
            return PLANNING
        return min((each.stage for each in self._instances), key=lambda stage: stage.progress).text
