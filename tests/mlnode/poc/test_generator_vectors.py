"""The first tensors of every preset's sprint, as pinned: a generator that moved a bit would split the network."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from pivot.mlnode.poc.fingerprint import embeddings, host_stream
from pivot.mlnode.poc.generator import Stream, Tensor
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import FINGERPRINT_COORDINATES, SPRINT_PRESETS, host_seed
from tests.vectors import load_vectors

VECTORS = load_vectors("sprint_tensors.json")
SEED = bytes.fromhex(VECTORS["seed"])
INPUTS = host_stream(host_seed(SEED, VECTORS["host_address"]))
QUERY_ROWS = 64
EVERY_PRESET = pytest.mark.parametrize("vector", VECTORS["presets"], ids=[v["preset"] for v in VECTORS["presets"]])


def sha256(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()


def test_every_preset_has_its_vectors() -> None:
    assert [vector["preset"] for vector in VECTORS["presets"]] == list(SPRINT_PRESETS)


@EVERY_PRESET
def test_m_item25_the_first_tensors_are_pinned(vector: dict[str, Any]) -> None:
    """No stream of a library that a release could change: the numbers follow from SHA-256 and Philox alone."""
    shape = SPRINT_PRESETS[vector["preset"]]
    for expected in vector["inputs"]:
        nonces = np.array([expected["nonce"]])
        assert sha256(embeddings(shape, INPUTS, nonces)) == expected["embeddings"]
        assert sha256(INPUTS.signs(Tensor.SIGNS, nonces, shape.sequence)) == expected["signs"]
        directions = INPUTS.signs(Tensor.DIRECTIONS, nonces, FINGERPRINT_COORDINATES * shape.dim)
        assert sha256(directions) == expected["directions"]
    rows = Stream.of(SEED, "weights").numbers(Tensor.WEIGHTS, np.zeros(1, np.int64), QUERY_ROWS * shape.dim)
    assert sha256(rows) == vector["query_rows"]


def test_m_item31_no_two_matrices_share_a_row() -> None:
    """The existing network cut its matrices from one small pool, at offsets that could meet."""
    model = SprintModel.build(SPRINT_PRESETS["devnet"], SEED)
    rows = [
        row.tobytes()
        for layer in model.layers
        for matrix in (*np.split(layer.qkv, 3, axis=1), layer.out, *np.split(layer.gate_up, 2, axis=1), layer.down)
        for row in np.sign(matrix[:, :64]).astype(np.int8)
    ]
    assert len(set(rows)) == len(rows)
