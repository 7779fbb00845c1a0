"""The sprint's transformer, open for change: which blocks run, and how every product is done.

The formulas are those of `pivot.mlnode.poc.model`, and a test holds the two equal; this one also runs on torch tensors
on any device, layer by layer, so that a changed model costs the memory of one changed layer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.poc_science.arithmetic import Arithmetic, Array, library
from pivot.mlnode.poc.fingerprint import Fingerprints, embeddings, host_stream, project, signed_sum, unit
from pivot.mlnode.poc.generator import Floats, Nonces, Stream
from pivot.mlnode.poc.model import NORM_EPSILON, QUERY_KEY_GAIN, Layer, SprintModel, rms_norm, rotary_tables
from pivot.protocol.sprint import SprintPreset, host_seed

HOST = "gonka1host"
ANOTHER_HOST = "gonka1other"


@dataclass(frozen=True)
class Sprint:
    """A model, and the nonces that are measured on it."""

    shape: SprintPreset
    seed: bytes
    nonces: Nonces
    device: str
    """`numpy`, or one of torch's devices."""
    built: Any
    """The ML node's own model: of numpy, or of torch in fp16."""
    matrices: Callable[[int], Layer]
    """Of the layer at a place, scales multiplied in, where products run."""
    host: str = HOST

    @classmethod
    def of(cls, shape: SprintPreset, seed: bytes, nonces: int, device: str = "numpy") -> "Sprint":
        """Builds the model: in fp32 with numpy, on a device of torch's in what it stores there for fp16 products."""
        build = _on_numpy if device == "numpy" else _on_torch
        return cls(shape, seed, np.arange(nonces, dtype=np.int64), device, *build(shape, seed, device))

    @property
    def stream(self) -> Stream:
        """Of the host's inputs, signs and directions."""
        return host_stream(host_seed(self.seed, self.host))

    def here(self, x: Floats) -> Array:
        """An array of numpy where products run."""
        if self.device == "numpy":
            return x
        import torch  # noqa: PLC0415

        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def inputs(self) -> Array:
        """(B, T, D)."""
        return self.here(embeddings(self.shape, self.stream, self.nonces))

    def read(self, x: Array) -> Fingerprints:
        """The fingerprints of the residual stream after the last layer. (B, T, D) to (B, 16)."""
        return project(unit(signed_sum(self.states(x), self.stream, self.nonces)), self.stream, self.nonces)

    def states(self, x: Array) -> Floats:
        """The final states, as an array of numpy. (B, T, D) to the same."""
        return rms_norm(x if isinstance(x, np.ndarray) else x.cpu().numpy())


def _on_numpy(shape: SprintPreset, seed: bytes, _device: str) -> tuple[SprintModel, Callable[[int], Layer]]:
    built = SprintModel.build(shape, seed)
    return built, built.layers.__getitem__


def _on_torch(shape: SprintPreset, seed: bytes, device: str) -> tuple[Any, Callable[[int], Layer]]:
    from pivot.mlnode.poc.torch.model import TorchModel, scale  # noqa: PLC0415

    built = TorchModel.build(shape, seed, device, "fp16")
    narrow, wide, residual = scale(shape.dim), scale(shape.ffn), 1 / math.sqrt(2 * shape.layers)

    def matrices(place: int) -> Layer:
        stored = built.layers[place]
        qkv = stored.qkv.float() * narrow
        qkv[:, : 2 * shape.dim] *= QUERY_KEY_GAIN
        return Layer(
            qkv=qkv,
            out=stored.out.float() * (narrow * residual),
            gate_up=stored.gate_up.float() * narrow,
            down=stored.down.float() * (wide * residual),
        )

    return built, matrices


Step = Callable[[Sprint, int, Layer, Array], Array]
"""What a machine does for one layer: sprint, place of the layer, its matrices, residual stream. Gives the stream after it."""


def run(sprint: Sprint, step: Step, x: Array | None = None) -> Array:
    """The residual stream after all layers, from the nonces' inputs or others."""
    if sprint.device != "numpy":
        _in_fp32(sprint.device)
    x = sprint.inputs() if x is None else x
    for place in range(sprint.shape.layers):
        x = step(sprint, place, sprint.matrices(place), x)
    return x


def _in_fp32(device: str) -> None:
    """A card multiplies fp32 numbers as they are."""
    import torch  # noqa: PLC0415

    from pivot.mlnode.poc.torch.arithmetic import allow_only, arithmetic  # noqa: PLC0415

    allow_only(arithmetic("fp32", torch.device(device)))


def block(arithmetic: Arithmetic) -> Step:
    """A whole layer in some arithmetic."""

    def step(sprint: Sprint, _place: int, layer: Layer, x: Array) -> Array:
        x = arithmetic.stream(x + attention(sprint, layer, normalised(x), arithmetic))
        return arithmetic.stream(x + feed_forward(layer, normalised(x), arithmetic))

    return step


def attention(sprint: Sprint, layer: Layer, x: Array, arithmetic: Arithmetic) -> Array:
    """Causal attention with rotary positions. (B, T, D) to (B, T, D)."""
    lib, (batch, length, dim), heads = library(x), x.shape, sprint.shape.heads
    width = dim // heads
    qkv = product(x, layer.qkv, arithmetic).reshape(batch, length, 3, heads, width)
    q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))  # (B, H, T, d) each
    cosine, sine = (sprint.here(table[:length]) for table in rotary_tables(sprint.shape))
    q, k = (arithmetic.scores(_rotated(lib, each, cosine, sine)) for each in (q, k))
    scores = arithmetic.result(q @ k.swapaxes(2, 3)) * (1 / math.sqrt(width))
    scores = scores + sprint.here(np.triu(np.full((length, length), -np.inf, np.float32), 1))
    weights = lib.exp(scores - lib.amax(scores, -1, keepdims=True))
    total = weights.sum(-1)[..., None]
    if arithmetic.late_division:
        mixed = arithmetic.result(arithmetic.scores(weights) @ v / total)
    else:
        mixed = arithmetic.result(arithmetic.scores(weights / total) @ v)
    return product(mixed.swapaxes(1, 2).reshape(x.shape), layer.out, arithmetic)


def feed_forward(layer: Layer, x: Array, arithmetic: Arithmetic) -> Array:
    """Gated feed-forward, silu(gate) * up. (B, T, D) to (B, T, D)."""
    gates = product(x, layer.gate_up, arithmetic)
    gate, up = gates[..., : gates.shape[2] // 2], gates[..., gates.shape[2] // 2 :]
    return product(arithmetic.gates(gate / (1 + library(x).exp(-gate))) * up, layer.down, arithmetic)


def product(x: Array, weights: Array, arithmetic: Arithmetic) -> Array:
    """(B, T, N) times (N, M)."""
    rows = arithmetic.operand(x).reshape(-1, x.shape[2])
    weights = arithmetic.weights(weights)
    parts = arithmetic.parts(len(weights))
    total = 0
    for part in range(parts):
        among = slice(len(weights) * part // parts, len(weights) * (part + 1) // parts)
        total = arithmetic.partial(total + arithmetic.partial(rows[:, among] @ weights[among]))
    return arithmetic.result(total).reshape(*x.shape[:2], weights.shape[1])


def normalised(x: Array) -> Array:
    """Each position divided by its root mean square."""
    mean_square = (x * x).sum(-1)[..., None] / x.shape[2]
    return x / library(x).sqrt(mean_square + float(NORM_EPSILON))


def _rotated(lib: ModuleType, x: Array, cosine: Array, sine: Array) -> Array:
    half = x.shape[3] // 2
    first, second = x[..., :half], x[..., half:]
    return lib.concatenate((first * cosine - second * sine, first * sine + second * cosine), 3)
