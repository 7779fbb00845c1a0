"""The sprint's benchmark runs, and tells all that is asked of it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "poc.py"


def figures(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), "--preset", "devnet", "--layers", "1", "--seconds", "0.01", "--json"]
    printed = subprocess.run([*command, *arguments], check=True, capture_output=True).stdout
    (result,) = json.loads(printed)["results"]
    return dict(result)


@pytest.mark.parametrize("device", [[], ["--device", "cpu", "cpu"]], ids=["numpy", "torch"])
def test_all_figures_are_told(device: list[str]) -> None:
    if device and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is an extra: pip install 'pivot[torch]'")
    result = figures(*device)
    assert (result["preset"], result["layers"], result["backend"]) == ("devnet", 1, "torch" if device else "numpy")
    measured = ("batch", "nonces_per_min", "tflops", "peak_tflops", "share_of_peak", "memory_gb")
    assert all(result[name] > 0 for name in measured)
    assert 0 <= result["ready_s"] <= result["first_nonce_s"]
    assert result["check_100_s"] >= 0
