"""How a model is to be served: which processes, on which devices. What an engine's own file has to say, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from pivot.protocol.mlnode_api import InferenceUp

NODE_VARIABLES = "MLNODE_"
"""The node's own settings begin with this, its token among them; an engine does not see them."""
STOP_TIMEOUT_S = 2.0
"""How long a process may take to end on SIGTERM before it is killed."""


@dataclass(frozen=True)
class Stage:
    """What a process is doing while it starts."""

    text: str
    progress: float
    """0 to 1."""


@dataclass(frozen=True)
class InstancePlan:
    """One process that serves the model."""

    command: Callable[[int], Sequence[str]]
    """The command that serves it on a port of loopback."""
    environment: Mapping[str, str]
    """All of it."""
    devices: tuple[str, ...] = ()
    """As in CUDA_VISIBLE_DEVICES; none on a CPU."""


class ParkingFailed(Exception):
    """Processes could not give up their devices' memory, or not take it again; the sentence says why. They are to be ended."""


class NoRoomToPark(ParkingFailed):
    """The machine's memory cannot hold the weights now. Nothing was begun."""


class Parking(Protocol):
    """How processes give up their devices' memory without ending, and take it again. Ports are those of all of a plan."""

    async def park(self, session: aiohttp.ClientSession, ports: Sequence[int]) -> None:
        """Keep the weights in the machine's memory.

        Raises NoRoomToPark, and ParkingFailed, also when the devices' memory is not free afterwards.
        """
        ...

    async def wake(self, session: aiohttp.ClientSession, ports: Sequence[int]) -> None:
        """Be ready to answer again. Raises ParkingFailed."""
        ...


@dataclass(frozen=True)
class Plan:
    """All processes that serve a model."""

    instances: tuple[InstancePlan, ...]
    unused_devices: tuple[str, ...] = ()
    stage_of: Callable[[str], Stage | None] = lambda _: None
    """What a line of a process's output tells of its start."""
    stop_timeout_s: float = STOP_TIMEOUT_S
    parking: Parking | None = None
    """None where processes can only be ended."""


Planner = Callable[[InferenceUp], Awaitable[Plan]]
"""Says how a request is served. Raises EngineFailed when it cannot be, before anything is started."""


def environment(
    *, unless_set: Mapping[str, str] | None = None, always: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The node's own environment for an engine: without the node's settings, with what the engine needs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NODE_VARIABLES)}
    return {**(unless_set or {}), **inherited, **(always or {})}
