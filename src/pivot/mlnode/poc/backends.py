"""What a worker process computes with: numpy, or torch on the devices of its group."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from pivot.mlnode.poc.batches import Part, batch_size, cut
from pivot.mlnode.poc.fingerprint import fingerprints_of_hosts
from pivot.mlnode.poc.frames import Ready, Sprint
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import SPRINT_PRESETS, SprintPreset

Answer = Callable[[], bytes]
"""Waits for fingerprints that are being computed, and returns them: 32 bytes each."""

CARD_NAMES = ("GPU-", "MIG-")
"""How the driver's own names of cards begin; anything else is a name of torch's."""

log = logging.getLogger(__name__)


class OutOfMemory(Exception):
    """A device has no memory for a model, or for a job of a single nonce. Says which and for what."""


class Backend(Protocol):
    """A model that stands."""

    ready: Ready

    def start(self, parts: Sequence[Part]) -> Answer:
        """Begin with a job; others may be begun before it is done. Raises OutOfMemory."""


class NumpyBackend:
    """The reference, on one core."""

    def __init__(self, preset: SprintPreset, seed: bytes) -> None:
        self._model = SprintModel.build(preset, seed)
        self.ready = Ready(batch_size(preset), "numpy", (), 4 * preset.parameter_count())

    def start(self, parts: Sequence[Part]) -> Answer:
        """Computes at once, in batches of its size. Raises OutOfMemory."""
        batches = ([(part.stream, part.nonces) for part in batch] for batch in cut(parts, self.ready.batch))
        try:
            computed = b"".join(fingerprints_of_hosts(self._model, batch).tobytes() for batch in batches)
        except MemoryError as error:
            raise OutOfMemory(f"no memory for {sum(map(len, parts))} nonces: {error}") from error
        return lambda: computed


def load(sprint: Sprint) -> Backend:
    """Build the model of a sprint where it says. Raises OutOfMemory; ImportError when torch is asked for and absent."""
    preset, seed = SPRINT_PRESETS[sprint.preset], bytes.fromhex(sprint.seed)
    if not wants_torch(sprint):
        return NumpyBackend(preset, seed)
    devices = visible_devices(sprint.devices)
    from pivot.mlnode.poc.torch.backend import TorchBackend  # noqa: PLC0415  an extra, and seconds to import

    backend = TorchBackend(preset, seed, devices)
    backend.ready = replace(backend.ready, devices=sprint.devices or devices)  # as the node names them
    return backend


def wants_torch(sprint: Sprint) -> bool:
    """Whether torch computes: where it is asked for, and on devices where it is there."""
    if sprint.backend != "auto" or not sprint.devices:
        return sprint.backend == "torch"
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed: numpy computes on the CPU, and %s stand idle", ", ".join(sprint.devices))
        return False
    return True


def visible_devices(names: Sequence[str]) -> tuple[str, ...]:
    """The group's devices in torch's names.

    Cards that are named as the driver names them become the only ones that this process sees, so it opens no context
    on any other. To be called before torch is imported.
    """
    if not names:
        return ("cpu",)
    if not all(name.startswith(CARD_NAMES) for name in names):
        return tuple(names)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    return tuple(f"cuda:{index}" for index in range(len(names)))
