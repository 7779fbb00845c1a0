from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pivot.mlnode.devices import Device
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.vllm import room
from pivot.mlnode.engines.vllm.groups import Visible
from pivot.mlnode.engines.vllm.room import (
    GIB,
    free_memory,
    loaded_bytes,
    require_device_memory,
    require_disk,
    require_memory,
)
from pivot.mlnode.model_cache import CachedModel


def model(folder: Path, size: int = 1_000, **config: object) -> CachedModel:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(bytes(size))
    return CachedModel("m", "", folder, size, ())


def device(total_gib: int, used_gib: int = 0) -> Visible:
    memory = {"memory_total_mib": total_gib * 1024, "memory_used_mib": used_gib * 1024}
    return Visible("0", Device.model_validate({"index": 0, "uuid": "GPU-0", "name": "H100", "driver": "1", **memory}))


def test_weights_take_what_their_type_asks_for(tmp_path: Path) -> None:
    stored = model(tmp_path, torch_dtype="bfloat16")
    assert loaded_bytes(stored, "float16", {}) == 1_000
    assert loaded_bytes(stored, "float32", {}) == 2_000
    assert loaded_bytes(stored, "float16", {"--quantization": "fp8"}) == 500
    quantised = model(tmp_path, quantization_config={"quant_method": "fp8"})
    assert loaded_bytes(quantised, "float16", {"--quantization": "fp8"}) == 1_000
    (tmp_path / "config.json").write_text("[")
    assert loaded_bytes(stored, "float16", {}) == 1_000


def test_a_model_that_fits_its_devices_is_taken() -> None:
    require_device_memory("m", 140 * GIB, [device(80)] * 2, {})
    require_device_memory("m", 80 * GIB, [device(80)], {"--cpu-offload-gb": "10"})
    require_device_memory("m", 10**15, [Visible("MIG-1", None)], {})


@pytest.mark.parametrize(
    ("needed", "group", "arguments", "sentence"),
    [
        (140, [device(80)], {}, "'m' needs 140.0 GiB for its weights on each of 1 devices, .* has 80.0 GiB"),
        (60, [device(80)], {"--gpu-memory-utilization": "0.5"}, "of which 50% may be used"),
        (10, [device(80, 30)], {}, "has 50.0 of 80.0 GiB free, .* another process holds its memory"),
    ],
)
def test_one_that_does_not_is_refused_with_the_figures(
    needed: int, group: list[Visible], arguments: dict[str, str], sentence: str
) -> None:
    with pytest.raises(EngineFailed, match=sentence):
        require_device_memory("m", needed * GIB, group, arguments)


def test_on_a_cpu_the_machines_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(room, "CONTROL_GROUP", tmp_path)
    assert free_memory() is None
    require_memory("m", 10**15)
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    require_memory("m", 7 * GIB)
    with pytest.raises(
        EngineFailed, match=r"needs 9.0 GiB of memory for its weights, and this machine has 8.0 GiB free"
    ):
        require_memory("m", 9 * GIB)
    (tmp_path / "memory.current").write_text(str(GIB))
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == 8 * GIB
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    assert free_memory() == 3 * GIB


def test_a_disk_without_room_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_disk({"VLLM_CACHE_ROOT": str(tmp_path / "new" / "folder")}, 1)
    require_disk({"HOME": str(tmp_path)}, 1)
    monkeypatch.setattr(room, "COMPILE_CACHE_BYTES", 2**60)
    with pytest.raises(EngineFailed, match=f"compiled graphs to {tmp_path}/vllm"):
        require_disk({"XDG_CACHE_HOME": str(tmp_path)}, 1)


def test_processes_that_share_a_model_need_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHARED_MEMORY", tmp_path)
    require_disk(os.environ, 2)
    monkeypatch.setattr(room, "SHARED_MEMORY_BYTES", 2**60)
    require_disk(os.environ, 1)
    with pytest.raises(EngineFailed, match=r"--shm-size, or --ipc=host"):
        require_disk(os.environ, 2)
