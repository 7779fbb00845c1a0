"""Fused passes do what the plain ones do. Without a GPU, Triton's interpreter runs the same kernels."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from pivot.mlnode.poc.torch import passes
from pivot.mlnode.poc.torch.arithmetic import arithmetic, stored
from pivot.mlnode.poc.torch.passes import PlainPasses, difference, fastest

SAME_PASSES = """
import sys, torch
from pivot.mlnode.poc.torch.arithmetic import stored
from pivot.mlnode.poc.torch.fused import FusedPasses
from pivot.mlnode.poc.torch.passes import PlainPasses, difference

device = torch.device(sys.argv[1])
for storage, tolerance in ((torch.float32, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
    worst = difference(PlainPasses(stored(storage)), FusedPasses(storage), storage, device)
    assert worst <= tolerance, (storage, worst)
"""
SAME_FINGERPRINTS = """
import sys, numpy, torch
from dataclasses import replace
from pivot.mlnode.poc.generator import Stream
from pivot.mlnode.poc.torch.arithmetic import stored
from pivot.mlnode.poc.torch.fused import FusedPasses
from pivot.mlnode.poc.torch.model import TorchModel, fingerprints
from pivot.mlnode.poc.torch.passes import PlainPasses
from pivot.protocol.sprint import SPRINT_PRESETS, distance

model = TorchModel.build(replace(SPRINT_PRESETS["devnet"], layers=2), bytes(32), sys.argv[1])
model.arithmetic = stored(torch.float16)
names = ("qkv", "out", "gate_up", "down")
model.layers = [replace(layer, **{name: getattr(layer, name).half() for name in names}) for layer in model.layers]
found = []
for model.passes in (PlainPasses(model.arithmetic), FusedPasses(torch.float16)):
    found.append(fingerprints(model, Stream((1, 2)), numpy.arange(3)))
assert max(distance(a.tobytes(), b.tobytes()) for a, b in zip(*found)) <= 2, found
"""
CUDA = torch.device("cuda")


@pytest.mark.parametrize("program", [SAME_PASSES, SAME_FINGERPRINTS], ids=["passes", "fingerprints"])
def test_m5_fused_passes_do_what_the_plain_ones_do(program: str, device: str) -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA alone")
    interpreted = {"TRITON_INTERPRET": "1"} if device == "cpu" else {}
    command = [sys.executable, "-c", program, device]
    assert subprocess.run(command, env=os.environ | interpreted, check=False).returncode == 0


def test_the_difference_of_wrong_passes_is_seen() -> None:
    plain = PlainPasses(stored(torch.float32))

    class Wrong(PlainPasses):
        def gated(self, gate_up: torch.Tensor) -> torch.Tensor:
            return 1.1 * super().gated(gate_up)

    cpu = torch.device("cpu")
    assert difference(plain, plain, torch.float32, cpu) == 0
    assert difference(plain, Wrong(plain.arithmetic), torch.float32, cpu) > passes.TRIED_TOLERANCE


def test_passes_are_plain_on_a_cpu() -> None:
    cpu = torch.device("cpu")
    assert isinstance(fastest(arithmetic("fp16", cpu), cpu), PlainPasses)


@pytest.mark.parametrize("worst", [1.0, RuntimeError("Failed to find C compiler")])
def test_kernels_that_fail_or_are_wrong_are_not_used(
    worst: float | Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA alone")

    def tried(*_: object) -> float:
        if isinstance(worst, Exception):
            raise worst
        return worst

    monkeypatch.setattr(passes, "difference", tried)
    assert isinstance(fastest(arithmetic("fp16", CUDA), CUDA), PlainPasses)
    assert "the sprint will be slower" in caplog.text


def test_kernels_that_are_right_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA alone")
    monkeypatch.setattr(passes, "difference", lambda *_: 0.0)
    assert not isinstance(fastest(arithmetic("fp16", CUDA), CUDA), PlainPasses)
