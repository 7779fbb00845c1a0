"""vLLM's sleep, by which its processes stay, their weights go to the machine's memory, and the devices are free for a sprint (0.32).

`POST /sleep`, `POST /wake_up` and `GET /is_sleeping` are routes of vLLM's development mode. They command the engine, and so are on
loopback only: the inference port passes none of that mode's routes on (`engines/request.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPMethod, HTTPStatus

import aiohttp

from pivot.mlnode.devices import DriverBroken
from pivot.mlnode.engines.plan import NoRoomToPark, ParkingFailed
from pivot.mlnode.engines.vllm.room import GIB, free_memory
from pivot.mlnode.watches import DeviceQuery

DEVELOPMENT_MODE = "VLLM_SERVER_DEV_MODE"
SLEEP, WAKE_UP, IS_SLEEPING = "/sleep?level=1", "/wake_up", "/is_sleeping"
"""At level 1 weights are copied to the machine's memory, and the key-value cache is given up."""
PINNED_SHARE = 2
"""Of the weights' size that is to be free: torch rounds each block of pinned memory up to a power of two."""
SPARE_BYTES = 4 * GIB
"""What the sprint and the network node on the same machine need besides."""
LEFT_MIB = 4_096
"""What a sleeping process may still hold of a device: its context, its links to other devices, captured graphs."""

LOOPBACK = "127.0.0.1"


class SleepMode:
    """Puts all instances of a plan to sleep and wakes them. Implements `plan.py: Parking`.

    weights: bytes of one instance's weights; used_mib: memory in use, by the device's uuid, before anything was started.
    """

    def __init__(self, weights: int, used_mib: Mapping[str, int], devices: DeviceQuery) -> None:
        self._weights = weights
        self._used_mib = used_mib
        self._devices = devices
        self._slept: set[int] = set()
        """Ports of processes that have slept before: torch keeps their pinned memory for the next time."""

    async def park(self, session: aiohttp.ClientSession, ports: Sequence[int]) -> None:
        """Send all to sleep; see `Parking.park`. What the driver does not tell of a device is taken to be well."""
        self._require_room(len(set(ports) - self._slept))
        self._slept = set(ports)
        await _at_all(session, ports, SLEEP, sleeping=True)
        await self._require_freed()

    async def wake(self, session: aiohttp.ClientSession, ports: Sequence[int]) -> None:
        """Wake all; see `Parking.wake`."""
        await _at_all(session, ports, WAKE_UP, sleeping=False)

    def _require_room(self, instances: int) -> None:
        free, needed = free_memory(), PINNED_SHARE * self._weights * instances + SPARE_BYTES
        if free is not None and free < needed:
            raise NoRoomToPark(
                f"this machine has {free / GIB:.1f} GiB of memory free, and {needed / GIB:.1f} GiB are needed to keep the weights"
            )

    async def _require_freed(self) -> None:
        try:
            devices = await self._devices() or []
        except DriverBroken as error:
            raise ParkingFailed(f"it cannot be told whether the devices' memory is free: {error}") from error
        for device in devices:
            before, now = self._used_mib.get(device.uuid), device.memory_used_mib
            if before is not None and now is not None and now - before > LEFT_MIB:
                raise ParkingFailed(f"the engine sleeps and still holds {now - before} MiB of device {device.index}")


async def _at_all(session: aiohttp.ClientSession, ports: Sequence[int], path: str, *, sleeping: bool) -> None:
    await asyncio.gather(*(_at_one(session, port, path, sleeping=sleeping) for port in ports))


async def _at_one(session: aiohttp.ClientSession, port: int, path: str, *, sleeping: bool) -> None:
    """Command one instance, and see that it has done so."""
    await _asked(session, HTTPMethod.POST, port, path)
    told = await _asked(session, HTTPMethod.GET, port, IS_SLEEPING)
    if not isinstance(told, dict) or told.get("is_sleeping") is not sleeping:
        raise ParkingFailed(
            f"the instance on port {port} does not {'sleep' if sleeping else 'wake'} although it was told to"
        )


async def _asked(session: aiohttp.ClientSession, method: HTTPMethod, port: int, path: str) -> object:
    url = f"http://{LOOPBACK}:{port}{path}"
    try:
        async with session.request(method, url, timeout=aiohttp.ClientTimeout()) as response:
            if response.status != HTTPStatus.OK:
                raise ParkingFailed(f"the instance on port {port} answers {path} with {response.status}")
            return await response.json()
    except (aiohttp.ClientError, ValueError) as error:
        raise ParkingFailed(f"the instance on port {port} does not answer {path}: {error}") from error
