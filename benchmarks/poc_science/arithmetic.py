"""Number formats, as machines round to them. Every function takes numpy arrays and torch tensors alike, in fp32."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor of fp32 numbers."""
Rounding = Callable[[Array], Array]

E4M3_LARGEST = 448.0
E4M3_SMALLEST_NORMAL = 2.0**-6
E4M3_SMALLEST_STEP = 2.0**-9
FP32_MANTISSA = 23


def library(x: Array) -> ModuleType:
    """numpy, or torch for a tensor."""
    if isinstance(x, np.ndarray):
        return np
    import torch  # noqa: PLC0415

    return torch


def exact(x: Array) -> Array:
    """As it is."""
    return x


def fp16(x: Array) -> Array:
    """Eleven bits of precision, five of exponent."""
    return x.astype(np.float16).astype(np.float32) if isinstance(x, np.ndarray) else x.half().float()


def bf16(x: Array) -> Array:
    """Eight bits of precision."""
    return _to_mantissa(x, 7)


def tf32(x: Array) -> Array:
    """Eleven bits of precision, the exponents of fp32."""
    return _to_mantissa(x, 10)


def fp8(axis: int | None) -> Rounding:
    """e4m3, scaled so that the largest number of each slice along `axis` (None: of all) is 448."""

    def rounded(x: Array) -> Array:
        lib = library(x)
        scale = E4M3_LARGEST / _largest(x, axis)
        scaled = x * scale
        normal = _to_mantissa(scaled, 3)
        tiny = lib.round(scaled / E4M3_SMALLEST_STEP) * E4M3_SMALLEST_STEP
        return lib.where(abs(scaled) < E4M3_SMALLEST_NORMAL, tiny, normal) / scale

    return rounded


def integers(bits: int, axis: int | None) -> Rounding:
    """A symmetric integer grid with one step for each slice along `axis`, or for all."""

    def rounded(x: Array) -> Array:
        step = _largest(x, axis) / (2 ** (bits - 1) - 1)
        return library(x).round(x / step) * step

    return rounded


def in_groups(bits: int, size: int) -> Rounding:
    """Integers with one step for `size` rows of each column, as 4-bit formats have it. The last group may be shorter."""
    grid = integers(bits, 0)

    def rounded(x: Array) -> Array:
        return library(x).concatenate([grid(x[start : start + size]) for start in range(0, len(x), size)], 0)

    return rounded


def two_of_four(x: Array) -> Array:
    """Of every four rows of a column the two smaller numbers are 0, as sparse tensor cores want it."""
    lib = library(x)
    quads = x.reshape(len(x) // 4, 4, x.shape[1])
    size = abs(quads)
    larger = (size[:, :, None] < size[:, None]).sum(2)  # how many of its quad each is below
    return lib.where(larger < 2, quads, 0 * quads).reshape(x.shape)


def _to_mantissa(x: Array, bits: int) -> Array:
    """Round to so many bits behind the leading one, to even, by integer arithmetic on the fp32 word."""
    drop = FP32_MANTISSA - bits
    lib = library(x)
    words = x.view(lib.int32)
    words = words + ((1 << (drop - 1)) - 1) + ((words >> drop) & 1)
    return (words & -(1 << drop)).view(lib.float32)


def _largest(x: Array, axis: int | None) -> Array:
    return abs(x).max() if axis is None else library(x).amax(abs(x), axis, keepdims=True)


def whole(_inner: int) -> int:
    """A sum in one part."""
    return 1


def into(parts: int) -> Callable[[int], int]:
    """A sum in so many parts."""
    return lambda _: parts


@dataclass(frozen=True)
class Arithmetic:
    """What a machine does to the numbers of its matrix products; everything else is fp32."""

    operand: Rounding = exact
    """To activations that meet a matrix of weights."""
    scores: Rounding = exact
    """To queries, keys and attention weights."""
    result: Rounding = exact
    """To what comes out."""
    weights: Rounding = exact
    """To a matrix of weights, input x output."""
    gates: Rounding = exact
    """To silu(gate), before it meets the other half of the feed-forward."""
    stream: Rounding = exact
    """To the residual stream."""
    parts: Callable[[int], int] = whole
    """Into how many parts an inner dimension is cut."""
    partial: Rounding = exact
    """To the running sum after each part."""
    late_division: bool = False
    """Attention divides by the sum of its weights after they have met the values, as fused kernels do."""


EXACT = Arithmetic()
HALF = Arithmetic(operand=fp16, scores=fp16, result=fp16)
"""The products of a tensor core, their results kept in fp16."""
