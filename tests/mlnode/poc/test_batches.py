from __future__ import annotations

import numpy as np
import pytest

from pivot.mlnode.poc.batches import Part, batch_size, cut
from pivot.mlnode.poc.generator import Stream
from pivot.protocol.sprint import SPRINT_PRESETS

ONE, OTHER = Stream((1, 1)), Stream((2, 2))


def test_batches_of_the_numpy_path_suit_the_preset() -> None:
    assert {name: batch_size(preset) for name, preset in SPRINT_PRESETS.items()} == {
        "devnet": 32,
        "small": 1,
        "mainnet": 1,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 9, 100])
def test_jobs_are_cut_into_full_batches_in_order(size: int) -> None:
    job = [Part(ONE, np.arange(4)), Part(OTHER, np.arange(3)), Part(ONE, np.arange(10, 12))]
    batches = list(cut(job, size))
    assert [sum(map(len, batch)) for batch in batches] == [size] * (9 // size) + [9 % size] * bool(9 % size)
    flat = [(part.stream, nonce) for batch in batches for part in batch for nonce in part.nonces.tolist()]
    assert flat == [(part.stream, nonce) for part in job for nonce in part.nonces.tolist()]


def test_a_job_of_nothing_has_no_batches() -> None:
    assert list(cut([], 4)) == []
