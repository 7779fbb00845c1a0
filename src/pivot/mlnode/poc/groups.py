"""Which cards of a machine compute together: each group holds one model, and there are as many groups as fit.

The more groups the better, for each works without waiting for another. Cards are named as the driver names them, so that
nothing depends on the order in which CUDA counts them.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence

from pivot.mlnode.devices import Device
from pivot.mlnode.poc.crew import WorkersMaker
from pivot.mlnode.poc.frames import Backend
from pivot.mlnode.poc.interpreter import has_torch
from pivot.mlnode.poc.work import Work
from pivot.mlnode.poc.worker import Worker
from pivot.mlnode.watches import DeviceWatch
from pivot.protocol.sprint import SprintPreset

BYTES_PER_PARAMETER = 2
WEIGHTS_SHARE = 0.85
"""Most of a group's memory that weights may take: a batch, its inputs and the driver need the rest."""
MIB = 2**20

log = logging.getLogger(__name__)


def workers_on(
    watch: DeviceWatch, visible: str | None, backend: Backend = "auto", python: str = sys.executable
) -> WorkersMaker:
    """Makes a worker per group of the cards that the machine has at the moment; one on the CPU where there are none to use.

    visible: CUDA_VISIBLE_DEVICES, None where it is not set. python: the interpreter that has torch; numpy computes in the node's own.
    """

    async def make(work: Work, preset: SprintPreset, seed: bytes) -> Sequence[Worker]:
        await watch.look()
        groups = groups_of(visible_devices(watch.devices, visible), preset) if backend != "numpy" else []
        if groups and backend == "auto" and not await has_torch(python):
            log.warning("%s has no torch: the proof of compute runs on the CPU, and the cards stand idle", python)
            groups = []
        runs = python if groups or backend == "torch" else sys.executable
        return [Worker(work, preset, seed, backend=backend, devices=group, python=runs) for group in groups or [()]]

    return make


def visible_devices(devices: Sequence[Device], visible: str | None) -> list[Device]:
    """Those that the node was given: indices or beginnings of names with commas between, up to the first that is none."""
    if visible is None:
        return list(devices)
    given: list[Device] = []
    for name in (part.strip() for part in visible.split(",")):
        found = next(
            (each for each in devices if name == str(each.index) or (name and each.uuid.startswith(name))), None
        )
        if found is None:
            break
        given.append(found)
    return given


def groups_of(devices: Sequence[Device], preset: SprintPreset) -> list[tuple[str, ...]]:
    """Names of the cards of each group. Cards that cannot hold a model together are one group: its worker says so."""
    if not devices:
        return []
    needed = BYTES_PER_PARAMETER * preset.parameter_count()
    least = min(WEIGHTS_SHARE * (device.memory_total_mib or 0) * MIB for device in devices)
    size = math.ceil(needed / least) if least else len(devices)
    count = max(1, len(devices) // size)
    ends = [len(devices) * (number + 1) // count for number in range(count)]
    return [tuple(device.uuid for device in devices[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
