"""torch and numpy generate the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pivot.mlnode.poc.generator import Stream, Tensor
from pivot.mlnode.poc.philox import philox4x32 as philox_of_numpy
from pivot.mlnode.poc.torch import generator
from pivot.mlnode.poc.torch.generator import fill_matrix, numbers, philox4x32, signs
from pivot.mlnode.poc.torch.model import make_inputs
from pivot.protocol.sprint import SPRINT_PRESETS
from tests.mlnode.poc.test_generator_vectors import EVERY_PRESET, INPUTS, QUERY_ROWS, SEED, sha256
from tests.vectors import load_vectors

EDGES = np.array([0, 1, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1])


@EVERY_PRESET
def test_the_first_tensors_of_every_preset_are_those_of_numpy(vector: dict[str, Any], device: str) -> None:
    shape = SPRINT_PRESETS[vector["preset"]]
    nonces = torch.tensor([expected["nonce"] for expected in vector["inputs"]], device=device)
    inputs = make_inputs(shape, INPUTS, nonces, nonces)
    for i, expected in enumerate(vector["inputs"]):
        assert sha256(inputs.embeddings[i].cpu().numpy()) == expected["embeddings"]
        assert sha256(inputs.signs[i].cpu().numpy()) == expected["signs"]
        assert sha256(inputs.directions[i].cpu().numpy()) == expected["directions"]
    rows = torch.empty(QUERY_ROWS, shape.dim, device=device)
    fill_matrix(rows, Stream.of(SEED, "weights"), Tensor.WEIGHTS)
    assert sha256(rows.cpu().numpy()) == vector["query_rows"]


def test_the_known_answers_come_out(device: str) -> None:
    for vector in load_vectors("philox4x32_10.json")["vectors"]:
        counter, key, output = ([int(word, 16) for word in vector[part]] for part in ("counter", "key", "output"))
        words = philox4x32(tuple(torch.tensor([word], device=device) for word in counter), (key[0], key[1]))
        assert [int(word) for word in words] == output


def test_any_counter_under_any_key_gives_numpys_words(device: str) -> None:
    random = np.random.default_rng(5)
    counters = random.integers(0, 2**32, (4_096, 4), np.uint32)
    key = (int(random.integers(2**32)), int(random.integers(2**32)))
    columns = tuple(torch.from_numpy(counters[:, i].astype(np.int64)).to(device) for i in range(4))
    words = torch.stack(philox4x32(columns, key), dim=1).cpu().numpy()
    assert np.array_equal(words, philox_of_numpy(counters, key))


def test_numbers_and_signs_of_any_nonce_are_numpys(device: str) -> None:
    nonces = torch.from_numpy(EDGES).to(device)
    assert np.array_equal(numbers(INPUTS, 3, nonces, 1_000).cpu().numpy(), INPUTS.numbers(3, EDGES, 1_000))
    assert np.array_equal(signs(INPUTS, 3, nonces, 1_001).cpu().numpy(), INPUTS.signs(3, EDGES, 1_001))


def test_the_size_of_a_step_changes_nothing(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = torch.from_numpy(EDGES).to(device)
    whole, matrix, part = numbers(INPUTS, 3, nonces, 800), torch.empty(2, 40, 24, device=device), slice(8, 24)
    fill_matrix(matrix[0, :, part], INPUTS, 3)
    monkeypatch.setattr(generator, "BLOCKS_AT_ONCE", {"cpu": 7, "cuda": 7})
    assert torch.equal(numbers(INPUTS, 3, nonces, 800), whole)
    fill_matrix(matrix[1, :, part], INPUTS, 3)
    assert torch.equal(matrix[0, :, part], matrix[1, :, part])


def test_every_storage_holds_the_numbers_exactly(device: str) -> None:
    stored = [torch.empty(16, 64, dtype=d, device=device) for d in (torch.float32, torch.float16, torch.bfloat16)]
    for matrix in stored:
        fill_matrix(matrix, INPUTS, 3)
    assert all(torch.equal(matrix.float(), stored[0]) for matrix in stored)


def test_a_count_that_cuts_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        numbers(INPUTS, 3, torch.zeros(1, dtype=torch.int64), 12)
