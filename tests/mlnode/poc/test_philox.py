"""Philox4x32-10 against the published known answers."""

from __future__ import annotations

import numpy as np

from pivot.mlnode.poc.philox import philox4x32
from tests.vectors import load_vectors


def words(texts: list[str]) -> list[int]:
    return [int(text, 16) for text in texts]


def test_the_known_answers_come_out() -> None:
    for vector in load_vectors("philox4x32_10.json")["vectors"]:
        key = words(vector["key"])
        output = philox4x32(np.array([words(vector["counter"])], np.uint32), (key[0], key[1]))
        assert output.tolist() == [words(vector["output"])]


def test_many_counters_at_once_equal_each_alone() -> None:
    counters = np.random.default_rng(1).integers(0, 2**32, (20_000, 4), np.uint32)  # more than one chunk
    together = philox4x32(counters, (1, 2))
    for i in (0, 8_191, 8_192, 19_999):
        assert np.array_equal(philox4x32(counters[i : i + 1], (1, 2))[0], together[i])
