"""Which backend computes, and on what."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from pivot.mlnode.poc import backends
from pivot.mlnode.poc.backends import NumpyBackend, OutOfMemory, load, visible_devices, wants_torch
from pivot.mlnode.poc.batches import Part, batch_size
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.frames import Backend, Ready, Sprint
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import SPRINT_PRESETS, host_seed

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(range(32))


def sprint(backend: Backend, *devices: str) -> Sprint:
    return Sprint("devnet", SEED.hex(), backend, devices)


@pytest.mark.parametrize(
    ("asked", "installed", "torch"),
    [
        (sprint("auto"), True, False),
        (sprint("auto", "GPU-1"), True, True),
        (sprint("auto", "GPU-1"), False, False),
        (sprint("numpy", "GPU-1"), True, False),
        (sprint("torch"), True, True),
        (sprint("torch", "GPU-1"), True, True),
    ],
)
def test_torch_computes_where_it_is_asked_for_or_there_is_a_card(
    asked: Sprint, installed: bool, torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if installed else None)
    assert wants_torch(asked) == torch


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_torch_that_is_asked_for_and_absent_is_an_error() -> None:
    with pytest.raises(ImportError, match="torch"):
        load(sprint("torch"))


def test_only_the_groups_cards_are_visible_to_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    assert visible_devices(()) == ("cpu",)
    assert visible_devices(("cuda:1", "cpu")) == ("cuda:1", "cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "all"
    assert visible_devices(("GPU-aa", "GPU-bb")) == ("cuda:0", "cuda:1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aa,GPU-bb"


def test_numpy_is_the_reference_on_a_cpu() -> None:
    backend = load(sprint("auto"))
    assert backend.ready == Ready(batch_size(PRESET), "numpy", (), 4 * PRESET.parameter_count())
    streams = [host_stream(host_seed(SEED, host)) for host in ("gonka1host", "gonka1other")]
    parts = [Part(stream, np.arange(3)) for stream in streams]
    model = SprintModel.build(PRESET, SEED)
    expected = b"".join(fingerprints(model, part.stream, part.nonces).tobytes() for part in parts)
    assert backend.start(parts)() == expected


def test_memory_that_numpy_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(*_: object) -> None:
        raise MemoryError("cannot allocate 3 GiB")

    backend = NumpyBackend(PRESET, SEED)
    monkeypatch.setattr(backends, "fingerprints_of_hosts", without_memory)
    with pytest.raises(OutOfMemory, match="no memory for 3 nonces: cannot allocate 3 GiB"):
        backend.start([Part(host_stream(SEED), np.arange(3))])


def test_m_item9_the_nodes_own_process_never_imports_torch() -> None:
    """Whoever imports torch may open a context on every card, and hold memory there for ever."""
    program = "import sys, pivot.mlnode.run, pivot.mlnode.poc.session; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
