"""What happens between matrix products, as torch says it plainly; fused.py does the same in one kernel each.

Sums and functions are in fp32, whatever the products' numbers are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pivot.mlnode.poc.model import NORM_EPSILON
from pivot.mlnode.poc.torch.arithmetic import Arithmetic

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, (T, d / 2) fp32 each."""

EPSILON = float(NORM_EPSILON)
TRIED_SHAPE = (2, 3, 4, 16)
"""Batch, positions, heads and coordinates of each head, with which kernels are tried."""
TRIED_TOLERANCE = 2e-3
"""One rounding to fp16 of numbers up to 4."""

log = logging.getLogger(__name__)


class Passes(Protocol):
    """The three passes."""

    def norm(self, x: Tensor, gain: float) -> Tensor:
        """Each position divided by its root mean square and multiplied by `gain`. x: (B, T, D) fp32."""

    def rotate(self, qkv: Tensor, rotation: Rotation) -> Tensor:
        """Rotary positions of queries and keys: coordinate j turns with coordinate j + d / 2.

        qkv: (B, T, 3, H, d); may be overwritten. Returns: the same shape, values as they were.
        """

    def gated(self, gate_up: Tensor) -> Tensor:
        """silu(gate) * up. (B, T, 2F) to (B, T, F)."""


@dataclass(frozen=True)
class PlainPasses:
    """By torch's own operators."""

    arithmetic: Arithmetic

    def norm(self, x: Tensor, gain: float) -> Tensor:
        """As in Passes."""
        return self.arithmetic.rounding(functional.rms_norm(x, x.shape[-1:], eps=EPSILON).mul_(gain))

    def rotate(self, qkv: Tensor, rotation: Rotation) -> Tensor:
        """As in Passes."""
        cosine, sine = (table[:, None, None] for table in rotation)  # (T, 1, 1, d / 2)
        first, second = qkv[:, :, :2].float().chunk(2, dim=4)
        turned = torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=4)
        qkv[:, :, :2] = self.arithmetic.rounding(turned)
        return qkv

    def gated(self, gate_up: Tensor) -> Tensor:
        """As in Passes."""
        gate, up = gate_up.chunk(2, dim=2)
        return self.arithmetic.rounding(functional.silu(gate.float()).mul_(up))


def fastest(arithmetic: Arithmetic, device: torch.device) -> Passes:
    """Fused passes on a GPU, if they can be made there and do what the plain ones do; else the plain ones."""
    plain = PlainPasses(arithmetic)
    if device.type != "cuda":
        return plain
    try:
        from pivot.mlnode.poc.torch.fused import FusedPasses  # noqa: PLC0415  Triton comes with torch for CUDA alone

        fused = FusedPasses(arithmetic.storage)
        worst = difference(plain, fused, arithmetic.storage, device)
    except Exception as error:  # noqa: BLE001  whatever a compiler may raise: no driver's header, no C compiler
        log.warning("kernels between matrix products cannot be fused here, the sprint will be slower: %s", error)
        return plain
    if worst > TRIED_TOLERANCE:
        log.warning("fused kernels are wrong by %g on this device, the sprint will be slower without them", worst)
        return plain
    return fused


def difference(one: Passes, other: Passes, storage: torch.dtype, device: torch.device) -> float:
    """The largest difference of what two kinds of passes make of the same numbers."""
    batch, length, heads, width = TRIED_SHAPE
    dim = heads * width
    random = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).clamp_(-2, 2).to(device)

    x, gate_up = normal(batch, length, dim), normal(batch, length, 2 * dim).to(storage)
    qkv, angles = normal(batch, length, 3, heads, width).to(storage), normal(length, width // 2)
    rotation = (angles.cos(), angles.sin())
    pairs = (
        (one.norm(x, 0.5), other.norm(x, 0.5)),
        (one.rotate(qkv.clone(), rotation), other.rotate(qkv.clone(), rotation)),
        (one.gated(gate_up), other.gated(gate_up)),
    )
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)
