"""Batches in flight on the devices of one group.

Nothing here waits for a device. A batch's inputs are generated on a stream of their own while the batch before it is
computed; its fingerprints are copied into pinned memory when they are done, and an event says so. Where the layers lie
on several cards, a job has a batch for each of them: while one card has the second half of a batch, the card before it
has the first half of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pivot.mlnode.poc.backends import Answer, OutOfMemory
from pivot.mlnode.poc.batches import Part, cut
from pivot.mlnode.poc.frames import Ready
from pivot.mlnode.poc.torch.arithmetic import Precision
from pivot.mlnode.poc.torch.memory import batch_for
from pivot.mlnode.poc.torch.model import Inputs, TorchModel, fixed_point, join, make_inputs
from pivot.protocol.sprint import SprintPreset

PRECISIONS: dict[str, Precision] = {"cpu": "fp32", "cuda": "fp16"}
"""The fastest that is honest, by kind of device."""


_Flight = tuple[Tensor, "torch.cuda.Event | None"]
"""Fingerprints that are being computed, (B, 16) int16 in the host's memory; and what says that they are there."""


class TorchBackend:
    """A model on one or more devices, and the batches that are on their way through it."""

    def __init__(self, preset: SprintPreset, seed: bytes, devices: Sequence[str]) -> None:
        kind = torch.device(devices[0]).type
        try:
            self._model = TorchModel.build(preset, seed, devices, PRECISIONS[kind])
            self.batch = batch_for(self._model)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"no memory for the model of the {preset.name} preset on {_list(devices)}: {error}"
            ) from None
        self._making = torch.cuda.Stream(self._model.devices[0], priority=-1) if kind == "cuda" else None
        """Where inputs are generated."""
        self.ready = Ready(
            batch=self.batch * len(self._model.devices),
            backend="torch",
            devices=tuple(map(str, self._model.devices)),
            memory_bytes=self._model.memory_bytes,
        )

    def start(self, parts: Sequence[Part]) -> Answer:
        """Begin with a job, in batches for which there is room. Raises OutOfMemory."""
        flights = [flight for batch in cut(parts, self.batch) for flight in self._launch(batch)]
        return lambda: b"".join(map(_land, flights))

    def _launch(self, batch: Sequence[Part]) -> list[_Flight]:
        """Put a batch on its way: in halves, now and from now on, where there is no room for it whole."""
        count = sum(map(len, batch))
        try:
            return [self._launch_whole(batch)]
        except (torch.OutOfMemoryError, MemoryError) as error:
            if count == 1:
                raise OutOfMemory(f"no memory for a single nonce on {_list(self.ready.devices)}: {error}") from None
        self.batch = min(self.batch, count // 2)
        self._settle()
        return [flight for half in cut(batch, self.batch) for flight in self._launch(half)]

    def _launch_whole(self, batch: Sequence[Part]) -> _Flight:
        if self._making is None:
            return fixed_point(self._model, self._inputs(batch)), None
        with torch.cuda.stream(self._making):
            inputs = self._inputs(batch)
        torch.cuda.current_stream(self._model.devices[0]).wait_stream(self._making)
        for tensor in (
            inputs.embeddings,
            inputs.signs,
            inputs.directions,
        ):  # not to be overwritten before they are read
            tensor.record_stream(torch.cuda.current_stream(tensor.device))
        fixed = fixed_point(self._model, inputs)
        host = pinned(torch.empty_like(fixed, device="cpu"))
        host.copy_(fixed, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(fixed.device))
        return host, done

    def _inputs(self, batch: Sequence[Part]) -> Inputs:
        made = [make_inputs(self._model.shape, part.stream, *self._upload(part)) for part in batch]
        return made[0] if len(made) == 1 else join(made)

    def _upload(self, part: Part) -> tuple[Tensor, Tensor]:
        """The nonces on the first and the last device."""
        first, last = self._model.ends
        host = torch.from_numpy(part.nonces)
        if self._making is not None:
            host = pinned(host)
        there = host.to(first, non_blocking=True)
        return there, there if last == first else host.to(last, non_blocking=True)

    def _settle(self) -> None:
        """Wait for what is on its way, and give the memory back that nothing uses."""
        for device in self._model.devices:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


def pinned(host: Tensor) -> Tensor:
    """A copy in memory that devices read and write by themselves."""
    return host.pin_memory()


def _land(flight: _Flight) -> bytes:
    fixed, done = flight
    if done is not None:
        done.synchronize()
    return np.ascontiguousarray(fixed.numpy(), "<i2").tobytes()


def _list(devices: Sequence[str]) -> str:
    return ", ".join(devices)
