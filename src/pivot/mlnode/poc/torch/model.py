"""The transformer of a sprint on torch, whole: the model of model.py, and its fingerprints.

Weights stand as the generator's own numbers, exact in every precision. What model.py multiplies into them stands
elsewhere, where it costs nothing: the scale of products that read the normalised stream is in its norm, that of
products that write to the stream in the addition, that of queries and keys in the softmax. Products run in the model's
precision with fp32 accumulation; residual stream, norms and softmax are fp32.

Layers may lie on several devices, each whole on one of them. Nothing here waits for a device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pivot.mlnode.poc.fingerprint import LARGEST, Fingerprints
from pivot.mlnode.poc.generator import RMS, Nonces, Stream
from pivot.mlnode.poc.generator import Tensor as Place
from pivot.mlnode.poc.model import QUERY_KEY_GAIN, TENSORS_PER_LAYER, rotary_tables
from pivot.mlnode.poc.torch.arithmetic import Arithmetic, Precision, allow_only, arithmetic
from pivot.mlnode.poc.torch.generator import fill_matrix, numbers, signs
from pivot.mlnode.poc.torch.passes import EPSILON, Passes, Rotation, fastest
from pivot.protocol.sprint import DISTANCE_UNIT, FINGERPRINT_COORDINATES, SprintPreset

Device: TypeAlias = torch.device | str


@dataclass
class TorchLayer:
    """The matrices of one block, input x output, as generated: without their scales."""

    qkv: Tensor  # (D, 3D)
    out: Tensor  # (D, D)
    gate_up: Tensor  # (D, 2F)
    down: Tensor  # (F, D)
    rotation: Rotation  # shared by a device's layers

    @property
    def device(self) -> torch.device:
        """Where the layer lies."""
        return self.qkv.device


@dataclass
class TorchModel:
    """A sprint's transformer. Layers and arithmetic may be replaced, to see what that does to the fingerprints."""

    shape: SprintPreset
    arithmetic: Arithmetic
    passes: Passes
    devices: list[torch.device]
    """Those over which the layers lie, in their order."""
    layers: list[TorchLayer]

    @classmethod
    def build(
        cls, shape: SprintPreset, seed: bytes, device: Device | Sequence[Device] = "cpu", precision: Precision = "fp32"
    ) -> TorchModel:
        """The model of a sprint seed, its layers in order over the devices.

        Takes 2 bytes per parameter in fp16 and bf16 on a GPU, else 4.
        """
        names = [device] if isinstance(device, torch.device | str) else device[: shape.layers]
        devices = [torch.device(name) for name in names]
        places = spread(shape.layers, devices)
        kind = arithmetic(precision, devices[0])
        stream = Stream.of(seed, "weights")
        cosine, sine = (torch.from_numpy(table) for table in rotary_tables(shape))
        rotations = {place: (cosine.to(place), sine.to(place)) for place in places}
        layers = [_layer(shape, stream, index, kind, rotations[place]) for index, place in enumerate(places)]
        return cls(shape, kind, fastest(kind, devices[0]), devices, layers)

    @property
    def ends(self) -> tuple[torch.device, torch.device]:
        """The devices of the first and of the last layer."""
        return self.devices[0], self.devices[-1]

    @property
    def memory_bytes(self) -> int:
        """What the weights take."""
        return self.shape.parameter_count() * int(self.arithmetic.storage.itemsize)


@dataclass(frozen=True)
class Inputs:
    """What the generator makes of a host's nonces."""

    embeddings: Tensor  # (B, T, D) fp32, on the first layer's device
    signs: Tensor  # (B, T) fp32, on the last layer's
    directions: Tensor  # (B, 16, D) fp32, on the last layer's


def spread(layers: int, devices: Sequence[torch.device]) -> list[torch.device]:
    """The device of each layer: as many in a row on each as evenly as can be."""
    return [devices[index * len(devices) // layers] for index in range(layers)]


def _layer(shape: SprintPreset, stream: Stream, index: int, kind: Arithmetic, rotation: Rotation) -> TorchLayer:
    d, f = shape.dim, shape.ffn
    first = Place.WEIGHTS + TENSORS_PER_LAYER * index

    def matrix(rows: int, columns: int, *places: int) -> Tensor:
        """Matrices of these places in the layer, side by side."""
        whole = torch.empty(rows, columns, dtype=kind.storage, device=rotation[0].device)
        for place, part in zip(places, whole.chunk(len(places), dim=1), strict=True):
            fill_matrix(part, stream, first + place)
        return whole

    return TorchLayer(
        qkv=matrix(d, 3 * d, 0, 1, 2),
        out=matrix(d, d, 3),
        gate_up=matrix(d, 2 * f, 4, 5),
        down=matrix(f, d, 6),
        rotation=rotation,
    )


def fingerprints(model: TorchModel, inputs: Stream, nonces: Nonces) -> Fingerprints:
    """Fingerprint of each nonce's forward pass.

    inputs: the host's stream. nonces: (B,) int64. Returns: (B, 16) int16, little-endian, in units of 2**-12.
    """
    first, last = (torch.from_numpy(np.ascontiguousarray(nonces)).to(place) for place in model.ends)
    fixed: Fingerprints = fixed_point(model, make_inputs(model.shape, inputs, first, last)).cpu().numpy()
    return fixed.astype("<i2", copy=False)


def make_inputs(shape: SprintPreset, inputs: Stream, first: Tensor, last: Tensor) -> Inputs:
    """Everything that is generated for nonces.

    first, last: (B,) int64, the nonces on the devices of the first and last layer. Each device makes what it reads: a
    copy from one to the other would have the first wait for all that the last has still to do.
    """
    batch, length, dim = len(first), shape.sequence, shape.dim
    embeddings = numbers(inputs, Place.EMBEDDINGS, first, length * dim).float().mul_(float(np.float32(1 / RMS)))
    directions = signs(inputs, Place.DIRECTIONS, last, FINGERPRINT_COORDINATES * dim)
    return Inputs(
        embeddings.view(batch, length, dim),
        signs(inputs, Place.SIGNS, last, length),
        directions.view(batch, FINGERPRINT_COORDINATES, dim),
    )


def join(parts: Sequence[Inputs]) -> Inputs:
    """The inputs of several hosts as one batch."""
    return Inputs(
        torch.cat([part.embeddings for part in parts]),
        torch.cat([part.signs for part in parts]),
        torch.cat([part.directions for part in parts]),
    )


def fixed_point(model: TorchModel, inputs: Inputs) -> Tensor:
    """The fingerprints of inputs, on the last layer's device. Returns: (B, 16) int16."""
    with torch.inference_mode():
        states = forward(model, inputs.embeddings)  # (B, T, D)
        total = states.mul_(inputs.signs[:, :, None]).sum(1).div_(math.sqrt(model.shape.sequence))  # (B, D)
        unit = total / total.norm(dim=1, keepdim=True)
        coordinates = inputs.directions.mul(unit[:, None]).sum(2).mul_(DISTANCE_UNIT)  # (B, 16)
        return coordinates.round_().clamp_(-LARGEST, LARGEST).to(torch.int16)


def forward(model: TorchModel, x: Tensor) -> Tensor:
    """The final state of every position, normalised. x: (B, T, D) fp32 embeddings. Returns: (B, T, D) fp32."""
    allow_only(model.arithmetic)
    x = x.clone()  # the residual stream, changed in place
    for layer in model.layers:
        x = x.to(layer.device, non_blocking=True)
        block(model, layer, x)
    return functional.rms_norm(x, x.shape[-1:], eps=EPSILON)


def block(model: TorchModel, layer: TorchLayer, x: Tensor) -> None:
    """One layer: adds attention and feed-forward to the residual stream. x: (B, T, D) fp32."""
    shape, norm = model.shape, model.passes.norm
    residual = 1 / math.sqrt(2 * shape.layers)
    x.add_(attention(model, layer, norm(x, scale(shape.dim))), alpha=residual * scale(shape.dim))
    x.add_(feed_forward(model, layer, norm(x, scale(shape.dim))), alpha=residual * scale(shape.ffn))


def attention(model: TorchModel, layer: TorchLayer, x: Tensor) -> Tensor:
    """Causal attention with rotary positions. x: (B, T, D) normalised and scaled. Returns: (B, T, D), to be scaled."""
    batch, length, dim = x.shape
    heads, width = model.shape.heads, model.shape.head_dim
    qkv = product(model, x, layer.qkv).view(batch, length, 3, heads, width)
    q, k, v = model.passes.rotate(qkv, layer.rotation).permute(2, 0, 3, 1, 4)  # (B, H, T, d) each
    softness = QUERY_KEY_GAIN**2 / math.sqrt(width)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=softness)
    return product(model, mixed.transpose(1, 2).reshape(batch, length, dim), layer.out)


def feed_forward(model: TorchModel, layer: TorchLayer, x: Tensor) -> Tensor:
    """Gated feed-forward. x: (B, T, D) normalised and scaled. Returns: (B, T, D), to be scaled."""
    return product(model, model.passes.gated(product(model, x, layer.gate_up)), layer.down)


def product(model: TorchModel, x: Tensor, weights: Tensor) -> Tensor:
    """(B, T, N) times (N, M), operands and result in the model's precision."""
    rounding = model.arithmetic.rounding
    return rounding(rounding(x) @ weights)


def scale(rows: int) -> float:
    """What gives the product with a matrix of so many generated rows unit variance."""
    return 1 / (RMS * math.sqrt(rows))
