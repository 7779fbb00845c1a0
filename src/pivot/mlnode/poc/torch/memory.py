"""How many nonces a device has room for: found out by trying one and two of them."""

from __future__ import annotations

import torch

from pivot.mlnode.poc.generator import Stream
from pivot.mlnode.poc.torch.model import TorchModel, fixed_point, make_inputs

ROWS_AT_ONCE = {"cpu": 1_024, "cuda": 16_384}
"""Positions in a batch: with more, products run no faster, and a batch only takes longer to be done."""
FREE_SHARE = 0.8
"""Of the free memory that a batch may take: the next one's inputs, and what an allocator loses between blocks, have the rest."""

_PROBE = Stream((0, 0))


def batch_for(model: TorchModel) -> int:
    """Nonces per batch on a model's devices."""
    most = max(1, ROWS_AT_ONCE[model.devices[0].type] // model.shape.sequence)
    cards = [device for device in dict.fromkeys(model.devices) if device.type == "cuda"]
    if not cards:
        return most
    one, two = _costs(model, cards, 1), _costs(model, cards, 2)
    return min(fitting(most, _free(card), one[card], two[card]) for card in cards)


def fitting(most: int, free_bytes: int, one: int, two: int) -> int:
    """The largest batch up to `most` for which there is room, at least 1.

    one, two: bytes that so many nonces were seen to take; every further one takes what the second added.
    """
    further = max(1, two - one)
    return max(1, min(most, 1 + (int(FREE_SHARE * free_bytes) - one) // further))


def _costs(model: TorchModel, cards: list[torch.device], nonces: int) -> dict[torch.device, int]:
    """The most memory that a pass of so many nonces holds at a time on each card, in bytes."""
    before = {}
    for card in cards:
        torch.cuda.synchronize(card)
        torch.cuda.reset_peak_memory_stats(card)
        before[card] = torch.cuda.memory_allocated(card)
    first, last = (torch.arange(nonces, device=place) for place in model.ends)
    fixed_point(model, make_inputs(model.shape, _PROBE, first, last)).cpu()
    return {card: torch.cuda.max_memory_allocated(card) - before[card] for card in cards}


def _free(card: torch.device) -> int:
    """What the driver has left, and what torch holds without using it, in bytes."""
    free, _ = torch.cuda.mem_get_info(card)
    return int(free + torch.cuda.memory_reserved(card) - torch.cuda.memory_allocated(card))
