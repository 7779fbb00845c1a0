"""Nonces that go through the model together: how many, and how jobs are cut into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pivot.mlnode.poc.generator import Nonces, Stream
from pivot.protocol.sprint import SprintPreset

CACHE_FRIENDLY_ACTIVATIONS = 2**17
"""Feed-forward activations per batch that still stay in a core's cache."""
MAX_BATCH = 64


def batch_size(preset: SprintPreset) -> int:
    """Nonces per batch of the numpy path."""
    return max(1, min(MAX_BATCH, CACHE_FRIENDLY_ACTIVATIONS // (preset.sequence * preset.ffn)))


@dataclass(frozen=True)
class Part:
    """Nonces of one host."""

    stream: Stream
    nonces: Nonces

    def __len__(self) -> int:
        return len(self.nonces)


def cut(parts: Sequence[Part], size: int) -> Iterator[list[Part]]:
    """The parts, in order, in batches of at most `size` nonces; each but the last is full."""
    batch: list[Part] = []
    room = size
    for part in parts:
        start = 0
        while start < len(part):
            stop = min(start + room, len(part))
            batch.append(Part(part.stream, part.nonces[start:stop]))
            room -= stop - start
            start = stop
            if not room:
                yield batch
                batch, room = [], size
    if batch:
        yield batch
