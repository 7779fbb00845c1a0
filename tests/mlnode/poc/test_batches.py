from __future__ import annotations

from pivot.mlnode.poc.batches import batch_size
from pivot.protocol.sprint import SPRINT_PRESETS


def test_batches_of_the_numpy_path_suit_the_preset() -> None:
    assert {name: batch_size(preset) for name, preset in SPRINT_PRESETS.items()} == {
        "devnet": 32,
        "small": 1,
        "mainnet": 1,
    }
