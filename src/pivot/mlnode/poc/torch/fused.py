"""The passes between matrix products, each as one kernel: what it reads is read once, what it writes is written once.

Between products everything waits for memory. torch's own operators would write the feed-forward's activations several
times, in fp32, and a card would spend more than a third of its time on that. Needs Triton, which comes with torch for CUDA.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # before triton is imported, which warns of what it will change

import torch
import triton
import triton.language as tl
from torch import Tensor

from pivot.mlnode.poc.torch.passes import EPSILON, Rotation

COLUMNS_AT_ONCE = 1_024


@dataclass(frozen=True)
class FusedPasses:
    """Passes whose results are stored in one type."""

    storage: torch.dtype

    def norm(self, x: Tensor, gain: float) -> Tensor:
        """As in Passes."""
        batch, length, width = x.shape
        out = torch.empty_like(x, dtype=self.storage)
        with torch.cuda.device_of(x):
            _NORM[(batch * length,)](x, out, width, EPSILON, gain, block=triton.next_power_of_2(width))
        return out

    def rotate(self, qkv: Tensor, rotation: Rotation) -> Tensor:
        """As in Passes; in place."""
        batch, length, _, heads, width = qkv.shape
        pairs = heads * width // 2
        block = triton.next_power_of_2(pairs)
        with torch.cuda.device_of(qkv):
            _ROTATE[(batch * length, 2)](qkv, *rotation, length, pairs, width // 2, block=block)
        return qkv

    def gated(self, gate_up: Tensor) -> Tensor:
        """As in Passes."""
        batch, length, width = gate_up.shape[0], gate_up.shape[1], gate_up.shape[2] // 2
        out = gate_up.new_empty(batch, length, width)
        with torch.cuda.device_of(gate_up):
            grid = (batch * length, triton.cdiv(width, COLUMNS_AT_ONCE))
            _GATED[grid](gate_up, out, width, block=COLUMNS_AT_ONCE)
        return out


def _norm(
    x: tl.tensor, out: tl.tensor, width: tl.tensor, epsilon: tl.tensor, gain: tl.tensor, block: tl.constexpr
) -> None:
    """One position."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * width + column, mask=inside, other=0.0)
    mean_square = tl.sum(values * values, axis=0) / width
    normalised = values / tl.sqrt(mean_square + epsilon) * gain
    tl.store(out + row * width + column, normalised.to(out.dtype.element_ty), mask=inside)


def _rotate(
    qkv: tl.tensor,
    cosine: tl.tensor,
    sine: tl.tensor,
    length: tl.tensor,
    pairs: tl.tensor,
    half: tl.tensor,
    block: tl.constexpr,
) -> None:
    """The queries (0) or keys (1) of one position. pairs: of coordinates, in all heads; half: in one head."""
    row = tl.program_id(0).to(tl.int64)
    pair = tl.arange(0, block)
    inside = pair < pairs
    head, place = pair // half, pair % half
    first_at = qkv + (3 * row + tl.program_id(1)) * 2 * pairs + head * 2 * half + place
    first = tl.load(first_at, mask=inside).to(tl.float32)
    second = tl.load(first_at + half, mask=inside).to(tl.float32)
    angle = (row % length) * half + place
    cos, sin = tl.load(cosine + angle, mask=inside), tl.load(sine + angle, mask=inside)
    tl.store(first_at, (first * cos - second * sin).to(qkv.dtype.element_ty), mask=inside)
    tl.store(first_at + half, (first * sin + second * cos).to(qkv.dtype.element_ty), mask=inside)


def _gated(gate_up: tl.tensor, out: tl.tensor, width: tl.tensor, block: tl.constexpr) -> None:
    """Some columns of one position."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    gate = tl.load(gate_up + row * 2 * width + column, mask=inside).to(tl.float32)
    up = tl.load(gate_up + row * 2 * width + width + column, mask=inside).to(tl.float32)
    hidden = gate / (1 + tl.exp(-gate)) * up
    tl.store(out + row * width + column, hidden.to(out.dtype.element_ty), mask=inside)


_NORM, _ROTATE, _GATED = triton.jit(_norm), triton.jit(_rotate), triton.jit(_gated)
