"""The torch model's fingerprints are those of the reference, as far as its precision goes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from pivot.mlnode.poc import fingerprint as reference
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.torch.arithmetic import arithmetic, stored
from pivot.mlnode.poc.torch.model import TorchModel, fingerprints, spread
from pivot.protocol.sprint import SPRINT_PRESETS, distance, host_seed, judge

PRESET = SPRINT_PRESETS["devnet"]
SEED = hashlib.sha256(b"a sprint").digest()
INPUTS = reference.host_stream(host_seed(SEED, "gonka1host"))
NONCES = np.arange(48, dtype=np.int64)
HONEST = reference.fingerprints(SprintModel.build(PRESET, SEED), INPUTS, NONCES)


def distances(others: np.ndarray) -> list[int]:
    return [distance(a.tobytes(), b.tobytes()) for a, b in zip(HONEST, others, strict=True)]


def test_fp32_fingerprints_are_the_references(device: str) -> None:
    others = fingerprints(TorchModel.build(PRESET, SEED, device), INPUTS, NONCES)
    assert others.dtype == HONEST.dtype
    assert max(distances(others)) <= 2


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_half_precision_products_are_within_the_tolerance(precision: str, device: str) -> None:
    others = distances(fingerprints(TorchModel.build(PRESET, SEED, device, precision), INPUTS, NONCES))
    assert 0 < max(others) < PRESET.tolerance
    assert judge(PRESET, others).valid


def test_bf16_products_are_refused(device: str) -> None:
    others = distances(fingerprints(TorchModel.build(PRESET, SEED, device, "bf16"), INPUTS, NONCES))
    assert not judge(PRESET, others).valid


def test_a_devices_own_fp16_products_are_within_the_tolerance(device: str) -> None:
    """What runs on a GPU, run here on whatever there is."""
    model = TorchModel.build(PRESET, SEED, device)
    model.arithmetic = stored(torch.float16)
    for i, layer in enumerate(model.layers):
        halves = {name: getattr(layer, name).half() for name in ("qkv", "out", "gate_up", "down")}
        model.layers[i] = replace(layer, **halves)
    others = distances(fingerprints(model, INPUTS, NONCES))
    assert 0 < max(others) < PRESET.tolerance


def test_batch_sizes_do_not_matter(device: str) -> None:
    model = TorchModel.build(PRESET, SEED, device)
    parts = [fingerprints(model, INPUTS, NONCES[i : i + 5]) for i in range(0, len(NONCES), 5)]
    assert max(distances(np.concatenate(parts))) <= 2


def test_layers_over_two_devices_give_the_same_fingerprints(device: str) -> None:
    others = fingerprints(TorchModel.build(PRESET, SEED, ["cpu", device]), INPUTS, NONCES)
    assert max(distances(others)) <= 2


def test_layers_are_spread_evenly_and_in_order() -> None:
    assert spread(7, ["a", "b", "c"]) == ["a", "a", "a", "b", "b", "c", "c"]
    assert spread(2, ["a", "b"]) == ["a", "b"]


def test_a_layer_can_be_replaced_and_is_missed(device: str) -> None:
    model = TorchModel.build(PRESET, SEED, device)
    model.layers[3] = replace(model.layers[3], out=torch.zeros_like(model.layers[3].out))
    assert min(distances(fingerprints(model, INPUTS, NONCES))) > PRESET.tolerance


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="fp8 is no precision"):
        arithmetic("fp8", torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "memory"), [("fp32", 4), ("fp16", 4)])
def test_memory_is_told(precision: str, memory: int) -> None:
    model = TorchModel.build(PRESET, SEED, "cpu", precision)  # type: ignore[arg-type]
    assert model.memory_bytes == memory * PRESET.parameter_count()
