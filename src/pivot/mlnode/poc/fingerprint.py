"""From nonces to fingerprints: the work of a sprint.

A nonce's input belongs to one host alone; its fingerprint reads every position of the final states
(docs/protocol/poc.md, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from pivot.mlnode.poc.generator import RMS, Floats, Nonces, Stream, Tensor
from pivot.mlnode.poc.model import Rounding, SprintModel, exact, forward
from pivot.protocol.sprint import DISTANCE_UNIT, FINGERPRINT_COORDINATES, SprintPreset

Fingerprints = npt.NDArray[np.int16]

LARGEST = 2**15 - 1


def fingerprints(model: SprintModel, inputs: Stream, nonces: Nonces, rounding: Rounding = exact) -> Fingerprints:
    """Fingerprint of each nonce's forward pass.

    inputs: the host's stream. nonces: (B,) int64. Returns: (B, 16) int16, little-endian, in units of 2**-12.
    """
    return fingerprints_of_hosts(model, [(inputs, nonces)], rounding)


def fingerprints_of_hosts(
    model: SprintModel, parts: Sequence[tuple[Stream, Nonces]], rounding: Rounding = exact
) -> Fingerprints:
    """Fingerprints of several hosts' nonces, in one batch through the model. Returns: (B, 16), in the order of the parts."""
    x = np.concatenate([embeddings(model.shape, inputs, nonces) for inputs, nonces in parts])
    states = forward(model, x, rounding)  # (B, T, D)
    ends = list(accumulate(len(nonces) for _, nonces in parts))
    return np.concatenate(
        [
            project(unit(signed_sum(states[end - len(nonces) : end], inputs, nonces)), inputs, nonces)
            for end, (inputs, nonces) in zip(ends, parts, strict=True)
        ]
    )


def host_stream(host_seed: bytes) -> Stream:
    """The stream of a host's inputs, signs and directions."""
    return Stream.of(host_seed, "inputs")


def embeddings(shape: SprintPreset, inputs: Stream, nonces: Nonces) -> Floats:
    """The input of each nonce: every position its own. Returns: (B, T, D) fp32 of unit mean square."""
    numbers = inputs.numbers(Tensor.EMBEDDINGS, nonces, shape.sequence * shape.dim)
    numbers *= np.float32(1 / RMS)
    return numbers.reshape(len(nonces), shape.sequence, shape.dim)


def signed_sum(states: Floats, inputs: Stream, nonces: Nonces) -> Floats:
    """All positions' final states, each with a sign of its own. (B, T, D) to (B, D)."""
    length = states.shape[1]
    signs = inputs.signs(Tensor.SIGNS, nonces, length)  # (B, T)
    total: Floats = np.einsum("bt,btd->bd", signs, states)
    return total / np.float32(math.sqrt(length))


def unit(x: Floats) -> Floats:
    """Each row at Euclidean length 1. (B, D)."""
    rows: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return rows


def project(x: Floats, inputs: Stream, nonces: Nonces) -> Fingerprints:
    """Sixteen sums of the coordinates with generated signs, as fixed point. (B, D) to (B, 16) int16."""
    batch, dim = x.shape
    directions = inputs.signs(Tensor.DIRECTIONS, nonces, FINGERPRINT_COORDINATES * dim)
    directions = directions.reshape(batch, FINGERPRINT_COORDINATES, dim)
    coordinates = np.einsum("bd,bcd->bc", x, directions) * np.float32(DISTANCE_UNIT)
    fixed: Fingerprints = np.clip(np.rint(coordinates), -LARGEST, LARGEST).astype("<i2")
    return fixed
