"""What a node notices by itself and says in its state: a sprint that began late, an engine of which a part is down, a clock
that jumps, a device that is lost.

Nothing in the node depends on the wall clock: a jump changes what logs say, and nothing else. It is told because the network
node of the same machine signs with that clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from pivot.mlnode.devices import NO_TOOL, Device, DriverBroken, query_devices
from pivot.protocol.mlnode_api import InferenceState, InferenceStatus, PowInit

CLOCK_LOOK_S = 5.0
CLOCK_JUMP_S = 2.0
"""A clock that is set by NTP does not jump by that much once it runs."""
CLOCK_WARNING_S = 3_600.0
"""How long a jump is told."""
DEVICES_LOOK_S = 30.0
"""Between two looks that nobody asked for."""
DEVICES_FRESH_S = 2.0
"""How old a look may be that answers a question."""
LATE_SHARE = 0.1
"""From this share of a sprint on, its loss is told."""

DeviceQuery = Callable[[], Awaitable[Sequence[Device] | None]]

log = logging.getLogger(__name__)


def late_sprint(init: PowInit | None) -> list[str]:
    """That much of the sprint was over when this node was told of it; nothing when it was little, or is not known."""
    if init is None or not init.blocks or init.blocks_late < LATE_SHARE * init.blocks:
        return []
    told = f"was told to {'go on' if init.first_index else 'begin'}"
    passed = f"{init.blocks_late} of its {init.blocks} blocks had passed when this node {told}"
    return [f"The sprint of epoch {init.epoch} is late: {passed}."]


def instances_down(status: InferenceStatus) -> list[str]:
    """One sentence for each instance that is down while others serve, or has ended and is to be started again."""
    return [
        f"One of {len(status.instances)} engine instances does not serve"
        + (f" (devices {', '.join(instance.devices)})" if instance.devices else "")
        + f": {instance.error or 'it is being started'}."
        for instance in status.instances
        if not instance.healthy and (instance.error or status.state == InferenceState.DEGRADED)
    ]


class ClockWatch:
    """Compares the wall clock with the monotonic one, which nobody can set."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._told_until = 0.0
        self._sentence = ""
        self.jumped_s = 0.0
        """Seconds by which the clock has jumped so far, to either side."""

    def look(self) -> None:
        """Take notice of a jump since the last look."""
        offset = self._wall() - self._steady()
        jump, self._offset = offset - self._offset, offset
        if abs(jump) < CLOCK_JUMP_S:
            return
        self.jumped_s += abs(jump)
        at = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="seconds")
        side = "forward" if jump > 0 else "back"
        self._sentence = (
            f"This machine's clock jumped {side} by {abs(jump):.1f} s, to {at}: it was set, or the machine slept."
        )
        self._told_until = self._steady() + CLOCK_WARNING_S
        log.warning(self._sentence)

    @property
    def warnings(self) -> list[str]:
        """The last jump, for an hour."""
        return [self._sentence] if self._steady() < self._told_until else []

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(CLOCK_LOOK_S)


class DeviceWatch:
    """The devices as last seen, and what is missing of those seen before."""

    def __init__(self, query: DeviceQuery = query_devices) -> None:
        self._query = query
        self._looking = asyncio.Lock()
        self._looked_at = -DEVICES_FRESH_S
        self._known: dict[str, Device] = {}
        self.devices: Sequence[Device] = ()
        self.reason = ""
        """Why there are none."""

    @property
    def warnings(self) -> list[str]:
        """One sentence per device that was there and is not, or one when the driver no longer answers."""
        if self._known and self.reason:
            return [f"The GPUs of this machine may be lost: {self.reason}"]
        present = {device.uuid for device in self.devices}
        lost = [device for uuid, device in self._known.items() if uuid not in present]
        return [
            f"GPU {device.index} ({device.name}, {device.uuid}) is lost: nvidia-smi lists it no more."
            for device in lost
        ]

    async def look(self) -> None:
        """Ask the driver, unless it was asked a moment ago."""
        async with self._looking:
            now = asyncio.get_running_loop().time
            if now() < self._looked_at + DEVICES_FRESH_S:
                return
            before = self.warnings
            try:
                found = await self._query()
            except DriverBroken as error:
                self.devices, self.reason = (), str(error)
            else:
                self.devices, self.reason = found or (), NO_TOOL if found is None else ""
            self._known |= {device.uuid: device for device in self.devices}
            self._looked_at = now()
        for sentence in self.warnings:
            if sentence not in before:
                log.error(sentence)

    async def run(self) -> None:
        """Look again and again, until cancelled; not at all on a machine without a driver."""
        while self.reason != NO_TOOL or self._known:
            await self.look()
            await asyncio.sleep(DEVICES_LOOK_S)
