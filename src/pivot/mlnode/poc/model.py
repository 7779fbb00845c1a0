"""The transformer of a sprint, whole.

Pre-norm decoder blocks: RMSNorm, rotary causal attention, gated feed-forward. Weights come from the
generator and have its exact values; each matrix carries a scale in fp32 that gives its output unit variance
(query and key 1.2 of that; the two projections back into the residual stream 1 / sqrt(2 L)), so every block
moves the stream by about the same amount and none can be left out (docs/protocol/poc.md, section 3).

This file knows how numbers flow, not whose they are: seeds and nonces belong to fingerprint.py. It is
the reference; a faster one must give the same fingerprints within the preset's tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from pivot.mlnode.poc.generator import RMS, Floats, Stream, Tensor
from pivot.protocol.sprint import SprintPreset

NORM_EPSILON = np.float32(1e-5)
ROTARY_BASE = 10_000.0
QUERY_KEY_GAIN = 1.2
LARGEST_SCORE = np.float32(60)
"""Scores have a standard deviation of 1.44, so none comes near it; cut there, no sum of exponentials can overflow."""
TENSORS_PER_LAYER = 8

Rounding = Callable[[Floats], Floats]


def exact(x: Floats) -> Floats:
    """No rounding: matrix products in fp32."""
    return x


def half(x: Floats) -> Floats:
    """Rounded to fp16, as tensor cores take their operands and hand back their results."""
    return x.astype(np.float16).astype(np.float32)


@dataclass(frozen=True)
class Layer:
    """The matrices of one block, input x output, with their scales multiplied in."""

    qkv: Floats  # (D, 3D)
    out: Floats  # (D, D)
    gate_up: Floats  # (D, 2F)
    down: Floats  # (F, D)


@dataclass(frozen=True)
class SprintModel:
    """A sprint's transformer."""

    shape: SprintPreset
    layers: tuple[Layer, ...]
    rotation: tuple[Floats, Floats]  # cosines and sines, (T, head_dim / 2) each

    @classmethod
    def build(cls, shape: SprintPreset, seed: bytes) -> SprintModel:
        """The model of a sprint seed. Takes 4 bytes per parameter."""
        stream = Stream.of(seed, "weights")
        return cls(shape, tuple(_layer(shape, stream, i) for i in range(shape.layers)), rotary_tables(shape))


def _layer(shape: SprintPreset, stream: Stream, index: int) -> Layer:
    d, f = shape.dim, shape.ffn
    first = Tensor.WEIGHTS + TENSORS_PER_LAYER * index
    residual = 1 / math.sqrt(2 * shape.layers)

    def matrix(place: int, rows: int, columns: int, gain: float) -> Floats:
        values = stream.numbers(first + place, np.zeros(1, np.int64), rows * columns).reshape(rows, columns)
        values *= np.float32(gain / (RMS * math.sqrt(rows)))
        return values

    query, key, value = (
        matrix(place, d, d, gain) for place, gain in ((0, QUERY_KEY_GAIN), (1, QUERY_KEY_GAIN), (2, 1))
    )
    gate, up = matrix(4, d, f, 1), matrix(5, d, f, 1)
    return Layer(
        qkv=np.concatenate((query, key, value), axis=1),
        out=matrix(3, d, d, residual),
        gate_up=np.concatenate((gate, up), axis=1),
        down=matrix(6, f, d, residual),
    )


def rotary_tables(shape: SprintPreset) -> tuple[Floats, Floats]:
    """Cosine and sine of position * base**(-2j / head_dim), (T, head_dim / 2) each."""
    pairs = np.arange(shape.head_dim // 2) * (2.0 / shape.head_dim)
    angles = np.outer(np.arange(shape.sequence), ROTARY_BASE**-pairs)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def forward(model: SprintModel, x: Floats, rounding: Rounding = exact) -> Floats:
    """The final state of every position, normalised. x: (B, T, D) embeddings. Returns: (B, T, D)."""
    for layer in model.layers:
        x = block(model, layer, x, rounding)
    return rms_norm(x)


def block(model: SprintModel, layer: Layer, x: Floats, rounding: Rounding = exact) -> Floats:
    """One layer: the residual stream after attention and feed-forward. x: (B, T, D). Returns: (B, T, D)."""
    x = x + attention(model, layer, rms_norm(x), rounding)
    x += feed_forward(layer, rms_norm(x), rounding)
    return x


def attention(model: SprintModel, layer: Layer, x: Floats, rounding: Rounding) -> Floats:
    """Causal attention with rotary positions. x: (B, T, D) normalised. Returns: (B, T, D)."""
    batch, length, dim = x.shape
    heads = model.shape.heads
    qkv = product(x, layer.qkv, rounding).reshape(batch, length, 3, heads, dim // heads).transpose(2, 0, 3, 1, 4)
    q, k = rounding(rotate(qkv[:2], model.rotation))  # (B, H, T, d) each
    scores = rounding(q @ k.swapaxes(2, 3))
    scores *= np.float32(1 / math.sqrt(dim // heads))
    mixed = rounding(rounding(causal_softmax(scores)) @ qkv[2])
    return product(mixed.transpose(0, 2, 1, 3).reshape(x.shape), layer.out, rounding)


def feed_forward(layer: Layer, x: Floats, rounding: Rounding) -> Floats:
    """Gated feed-forward, silu(gate) * up. x: (B, T, D) normalised. Returns: (B, T, D)."""
    gate, up = np.split(product(x, layer.gate_up, rounding), 2, axis=2)  # (B, T, F) each
    half_gate = gate * np.float32(0.5)
    hidden = np.tanh(half_gate)  # silu(g) = g / 2 * (1 + tanh(g / 2))
    hidden += 1
    hidden *= half_gate
    hidden *= up
    return product(hidden, layer.down, rounding)


def product(x: Floats, weights: Floats, rounding: Rounding) -> Floats:
    """(B, T, N) times (N, M) with fp32 accumulation. The weights' own values are exact in fp16."""
    rows = rounding(x).reshape(-1, x.shape[2])
    return rounding(rows @ weights).reshape(*x.shape[:2], weights.shape[1])


def rms_norm(x: Floats) -> Floats:
    """Each position divided by its root mean square, in fp32."""
    mean_square = np.einsum("btd,btd->bt", x, x)[:, :, None] / np.float32(x.shape[2])
    normalised: Floats = x / np.sqrt(mean_square + NORM_EPSILON)
    return normalised


def causal_softmax(scores: Floats) -> Floats:
    """Each position's shares among itself and those before it, in fp32. scores: (B, H, T, T), overwritten."""
    weights: Floats = np.exp(np.minimum(scores, LARGEST_SCORE, out=scores), out=scores)
    weights *= _causal(scores.shape[-1])
    weights /= weights @ np.ones((scores.shape[-1], 1), np.float32)
    return weights


@cache
def _causal(length: int) -> Floats:
    """1 where a position may look, 0 where it may not. (T, T)."""
    return np.tril(np.ones((length, length), np.float32))


def rotate(x: Floats, rotation: tuple[Floats, Floats]) -> Floats:
    """Rotary positions: coordinate j turns with coordinate j + head_dim / 2. x: (..., T, head_dim)."""
    cosine, sine = rotation
    turned = np.empty(x.shape, np.float32)
    first, second = np.split(x, 2, axis=-1)
    turned_first, turned_second = np.split(turned, 2, axis=-1)
    np.multiply(first, cosine, out=turned_first)
    turned_first -= second * sine
    np.multiply(first, sine, out=turned_second)
    turned_second += second * cosine
    return turned
