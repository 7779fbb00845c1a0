"""The size of a batch follows from what is free and what a nonce was seen to take."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pivot.mlnode.poc.torch import memory
from pivot.mlnode.poc.torch.memory import batch_for, fitting
from pivot.mlnode.poc.torch.model import TorchModel
from pivot.protocol.sprint import SPRINT_PRESETS

PRESET = SPRINT_PRESETS["devnet"]


def cost(nonces: int) -> int:
    """300 bytes once, 100 a nonce."""
    return 300 + 100 * nonces


@pytest.mark.parametrize(
    ("free", "batch"), [(0, 1), (499, 1), (500, 1), (750, 3), (1_000, 5), (9_999, 64), (10**9, 64)]
)
def test_m_item6_a_batch_takes_four_fifths_of_what_is_free(free: int, batch: int) -> None:
    assert fitting(64, free, cost(1), cost(2)) == batch
    assert batch == 1 or cost(batch) <= 0.8 * free


def test_a_nonce_that_takes_nothing_more_is_no_trouble() -> None:
    assert fitting(64, 1_000, 10, 10) == 64


def test_a_batch_holds_as_many_positions_as_the_device_needs() -> None:
    assert batch_for(TorchModel.build(PRESET, bytes(32))) == 64
    assert batch_for(TorchModel.build(replace(PRESET, sequence=2_048, layers=1), bytes(32))) == 1


def test_m_item6_the_fullest_card_of_a_group_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of questions to a GPU, with answers made up: memory in use before, at the peak, and left."""
    small, large = torch.device("cuda:0"), torch.device("cuda:1")
    in_use, left, reserved = {small: 700, large: 900}, {small: 600, large: 10_000}, {small: 850, large: 900}
    tried: list[int] = []
    model = SimpleNamespace(shape=PRESET, devices=[small, large], ends=("cpu", "cpu"))
    monkeypatch.setattr(memory, "make_inputs", lambda _shape, _stream, first, _last: tried.append(len(first)))
    monkeypatch.setattr(memory, "fixed_point", lambda _model, _inputs: torch.zeros(1))
    for name, answer in {
        "synchronize": lambda _: None,
        "reset_peak_memory_stats": lambda _: None,
        "memory_allocated": in_use.get,
        "max_memory_allocated": lambda card: in_use[card] + cost(tried[-1]),
        "memory_reserved": reserved.get,
        "mem_get_info": lambda card: (left[card], 80_000),
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    assert batch_for(model) == fitting(1_024, 750, cost(1), cost(2)) == 3  # type: ignore[arg-type]
    assert tried == [1, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_m_item6_a_card_that_is_nearly_full_gets_smaller_batches() -> None:
    preset = replace(SPRINT_PRESETS["small"], layers=2)
    model = TorchModel.build(preset, bytes(32), "cuda:0", "fp16")
    whole = batch_for(model)
    free, _ = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    hog = torch.empty(free - 2**30, dtype=torch.uint8, device="cuda:0")
    assert 1 <= batch_for(model) < whole
    del hog
