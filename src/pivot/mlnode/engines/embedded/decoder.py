"""The Qwen2 decoder, whole, in fp32.

Embeddings; per layer RMSNorm, grouped-query attention with rotary positions and biased q, k, v, RMSNorm, gated
feed-forward; a last RMSNorm; the head (often the embeddings again). As in Hugging Face's Qwen2, held to it by a test.

Keys and values of what was seen live in a cache of slots, one sequence a slot. `forward` runs B sequences in
consecutive slots, each with T new tokens: a batch of single tokens (B, 1) while decoding, a piece of one prompt
(1, T) while reading it. This file knows nothing of requests, text or sampling.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pivot.mlnode.engines.embedded.weights import Floats, UnsupportedModel, load_weights

Ids = npt.NDArray[np.int64]

ARCHITECTURE = "Qwen2ForCausalLM"
FEW_ROWS = 8
"""Up to so many rows are multiplied one by one: a BLAS is slower on thin matrices, and the result is a lone row's."""


@dataclass(frozen=True)
class DecoderShape:
    """The hyper-parameters."""

    vocabulary: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    context: int
    norm_epsilon: float
    rotary_base: float

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DecoderShape:
        """The shape in a Hugging Face `config.json`. Raises UnsupportedModel for another architecture or variant."""
        if config.get("architectures") != [ARCHITECTURE]:
            raise UnsupportedModel(f"the embedded engine runs {ARCHITECTURE}, not {config.get('architectures')}")
        rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if rotary.get("rope_type", rotary.get("type", "default")) != "default":
            raise UnsupportedModel(f"the embedded engine knows plain rotary positions only, not {rotary}")
        if config.get("use_sliding_window") or config.get("hidden_act", "silu") != "silu":
            raise UnsupportedModel("the embedded engine knows neither sliding windows nor activations other than silu")
        heads = int(config["num_attention_heads"])
        return cls(
            vocabulary=config["vocab_size"],
            dim=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads", heads),
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            ffn=config["intermediate_size"],
            context=config["max_position_embeddings"],
            norm_epsilon=config["rms_norm_eps"],
            rotary_base=float(rotary.get("rope_theta") or config.get("rope_theta", 10_000.0)),
        )


@dataclass(frozen=True)
class Layer:
    """One block. Matrices are output x input, as in the file."""

    attention_norm: Floats  # (D,)
    qkv: Floats  # ((H + 2 K) d, D)
    qkv_bias: Floats  # ((H + 2 K) d,)
    out: Floats  # (D, H d)
    feed_forward_norm: Floats  # (D,)
    gate_up: Floats  # (2 F, D)
    down: Floats  # (D, F)


@dataclass(frozen=True)
class Decoder:
    """A model, ready to run."""

    shape: DecoderShape
    embedding: Floats  # (V, D)
    layers: tuple[Layer, ...]
    norm: Floats  # (D,)
    head: Floats  # (V, D)
    cosine: Floats  # (context, d / 2)
    sine: Floats  # (context, d / 2)

    @classmethod
    def load(cls, folder: Path, context: int | None = None) -> Decoder:
        """The model in a folder of Hugging Face files, its context cut to `context`. Raises UnsupportedModel."""
        config = json.loads((folder / "config.json").read_text())
        if context is not None:
            config["max_position_embeddings"] = min(context, config["max_position_embeddings"])
        shape, weights = DecoderShape.from_config(config), load_weights(folder)
        try:
            embedding = weights["model.embed_tokens.weight"]
            cosine, sine = rotary_tables(shape)
            return cls(
                shape,
                embedding,
                tuple(_layer(weights, f"model.layers.{i}.") for i in range(shape.layers)),
                weights["model.norm.weight"],
                embedding if config.get("tie_word_embeddings") else weights["lm_head.weight"],
                cosine,
                sine,
            )
        except KeyError as error:
            raise UnsupportedModel(f"{folder} holds no tensor {error}") from error


def _layer(weights: dict[str, Floats], prefix: str) -> Layer:
    def joined(block: str, parts: tuple[str, ...], kind: str) -> Floats:
        return np.concatenate([weights[f"{prefix}{block}.{part}_proj.{kind}"] for part in parts])

    return Layer(
        attention_norm=weights[f"{prefix}input_layernorm.weight"],
        qkv=joined("self_attn", ("q", "k", "v"), "weight"),
        qkv_bias=joined("self_attn", ("q", "k", "v"), "bias"),
        out=weights[f"{prefix}self_attn.o_proj.weight"],
        feed_forward_norm=weights[f"{prefix}post_attention_layernorm.weight"],
        gate_up=joined("mlp", ("gate", "up"), "weight"),
        down=weights[f"{prefix}mlp.down_proj.weight"],
    )


def rotary_tables(shape: DecoderShape) -> tuple[Floats, Floats]:
    """Cosine and sine of position * base**(-2j / d), (context, d / 2) each, in fp32 as the original computes them."""
    frequencies = 1 / shape.rotary_base ** (np.arange(0, shape.head_dim, 2, dtype=np.float32) / shape.head_dim)
    angles = np.outer(np.arange(shape.context, dtype=np.float32), frequencies.astype(np.float32))
    return np.cos(angles), np.sin(angles)


class Cache:
    """Keys and values of every layer: (layers, slots, K, context, d) each. Memory is taken as it is written."""

    def __init__(self, shape: DecoderShape, slots: int) -> None:
        size = (shape.layers, slots, shape.kv_heads, shape.context, shape.head_dim)
        self.keys: Floats = np.zeros(size, np.float32)
        self.values: Floats = np.zeros(size, np.float32)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot to another."""
        for part in (self.keys, self.values):
            part[:, target, :, :length] = part[:, source, :, :length]


def forward(model: Decoder, cache: Cache, first_slot: int, ids: Ids, starts: Ids) -> Floats:
    """The normalised state of each new token; keys and values go into the cache.

    ids: (B, T), sequence b in slot `first_slot + b`. starts: (B,), the position of each one's first new token;
    everything before it is in the cache. Returns: (B, T, D).
    """
    batch, length = ids.shape
    slots = np.arange(first_slot, first_slot + batch)[:, None]
    positions = starts[:, None] + np.arange(length)  # (B, T)
    place = Place(
        rows=slice(first_slot, first_slot + batch),
        slots=slots,
        positions=positions,
        end=int(positions.max()) + 1,
        cosine=model.cosine[positions][:, :, None],
        sine=model.sine[positions][:, :, None],
        mask=None if batch == length == 1 else causal_mask(positions),
    )
    x = model.embedding[ids]
    with np.errstate(over="ignore"):  # exp(-gate) may be infinite: then silu is 0
        for index, layer in enumerate(model.layers):
            x += attention(model.shape, layer, cache.keys[index], cache.values[index], x, place)
            x += feed_forward(model.shape, layer, x)
    return rms_norm(x, model.norm, model.shape.norm_epsilon)


def logits(model: Decoder, states: Floats) -> Floats:
    """What the model expects next. states: (N, D). Returns: (N, V)."""
    return product(states, model.head)


@dataclass(frozen=True)
class Place:
    """Where new tokens stand: the same for every layer."""

    rows: slice  # the slots of this batch
    slots: Ids  # (B, 1)
    positions: Ids  # (B, T)
    end: int  # positions that anyone here may look at: L
    cosine: Floats  # (B, T, 1, d / 2)
    sine: Floats  # (B, T, 1, d / 2)
    mask: Floats | None  # (B, 1, 1, T, L), added to the scores


def attention(shape: DecoderShape, layer: Layer, keys: Floats, values: Floats, x: Floats, place: Place) -> Floats:
    """Grouped-query attention of the new tokens to everything before them. x: (B, T, D). Returns: (B, T, D).

    H query heads in K groups of G share a key and value head each.
    """
    batch, length, _ = x.shape
    h, k, d = shape.heads, shape.kv_heads, shape.head_dim
    qkv = linear(rms_norm(x, layer.attention_norm, shape.norm_epsilon), layer.qkv) + layer.qkv_bias
    qkv = qkv.reshape(batch, length, h + 2 * k, d)
    turned = rotate(qkv[:, :, : h + k], place.cosine, place.sine)  # (B, T, H + K, d)
    keys[place.slots, :, place.positions] = turned[:, :, h:]
    values[place.slots, :, place.positions] = qkv[:, :, h + k :]
    seen_keys = keys[place.rows, :, None, : place.end]  # (B, K, 1, L, d)
    seen_values = values[place.rows, :, None, : place.end]

    queries: Floats = turned[:, :, :h] * np.float32(1 / math.sqrt(d))
    queries = queries.reshape(batch, length, k, h // k, d).transpose(0, 2, 3, 1, 4)  # (B, K, G, T, d)
    scores = queries @ seen_keys.swapaxes(3, 4)  # (B, K, G, T, L)
    if place.mask is not None:
        scores += place.mask
    mixed = softmax(scores) @ seen_values  # (B, K, G, T, d)
    return linear(mixed.transpose(0, 3, 1, 2, 4).reshape(batch, length, h * d), layer.out)


def feed_forward(shape: DecoderShape, layer: Layer, x: Floats) -> Floats:
    """Gated feed-forward, silu(gate) * up. x: (B, T, D). Returns: (B, T, D)."""
    gate_up = linear(rms_norm(x, layer.feed_forward_norm, shape.norm_epsilon), layer.gate_up)
    gate, up = gate_up[:, :, : shape.ffn], gate_up[:, :, shape.ffn :]  # (B, T, F) each
    hidden = np.exp(-gate)
    hidden += 1
    np.divide(gate, hidden, out=hidden)
    hidden *= up
    return linear(hidden, layer.down)


def causal_mask(positions: Ids) -> Floats:
    """0 where a token may look, -inf where it may not. positions: (B, T). Returns: (B, 1, 1, T, L)."""
    seen = np.arange(positions.max() + 1) <= positions[:, :, None]  # (B, T, L)
    return np.where(seen, np.float32(0), np.float32(-np.inf))[:, None, None]


def linear(x: Floats, weights: Floats) -> Floats:
    """x: (B, T, N), weights: (M, N). Returns: (B, T, M)."""
    batch, length, width = x.shape
    return product(x.reshape(batch * length, width), weights).reshape(batch, length, len(weights))


def product(rows: Floats, weights: Floats) -> Floats:
    """rows: (R, N), weights: (M, N). Returns: (R, M)."""
    if len(rows) <= FEW_ROWS:
        return (rows[:, None] @ weights.T)[:, 0]
    return (weights @ rows.T).T


def rms_norm(x: Floats, gain: Floats, epsilon: float) -> Floats:
    """Each position divided by its root mean square, times a gain. x: (B, T, D)."""
    mean_square = np.vecdot(x, x)[:, :, None] / np.float32(x.shape[2])
    normalised: Floats = x / np.sqrt(mean_square + np.float32(epsilon))
    normalised *= gain
    return normalised


def softmax(scores: Floats) -> Floats:
    """Over the last axis."""
    weights: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def rotate(x: Floats, cosine: Floats, sine: Floats) -> Floats:
    """Rotary positions: coordinate j turns with coordinate j + d / 2. x: (B, T, heads, d)."""
    half = x.shape[3] // 2
    first, second = x[..., :half], x[..., half:]
    turned = np.empty_like(x)
    turned[..., :half] = first * cosine - second * sine
    turned[..., half:] = first * sine + second * cosine
    return turned
