"""Whether a model fits, looked at before anything is started: a sentence now instead of a stack trace in ten minutes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.vllm.groups import Visible
from pivot.mlnode.model_cache import CONFIG_FILE, CachedModel
from pivot.protocol.engine_arguments import CPU_OFFLOAD, QUANTIZATION

GIB = 2**30
MIB_PER_GIB = 2**10
DEFAULT_UTILISATION = 0.92
"""vLLM's share of a device's memory, where nothing else is said."""
UTILISATION = "--gpu-memory-utilization"
WIDE_DTYPES = frozenset({"float32", "float"})
NARROW_STORED = frozenset({"float16", "bfloat16"})
COMPILE_CACHE_BYTES = GIB
"""What compiled graphs of one model may take on disk."""
SHARED_MEMORY_BYTES = GIB
"""What the processes of one group share."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where the kernel has it
MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def loaded_bytes(model: CachedModel, dtype: str, arguments: Mapping[str, str]) -> int:
    """Bytes of the weights once they are loaded: half of a stored one where they are quantised on the way, double for fp32."""
    config = _config(model.folder)
    size = model.weights_bytes
    if QUANTIZATION in arguments and "quantization_config" not in config:
        return size // 2
    stored = str(config.get("torch_dtype") or config.get("dtype"))
    return size * 2 if dtype in WIDE_DTYPES and stored in NARROW_STORED else size


def require_device_memory(model: str, needed: int, group: Sequence[Visible], arguments: Mapping[str, str]) -> None:
    """Raises EngineFailed when a group's devices cannot hold the weights, or something else holds their memory."""
    share = float(arguments.get(UTILISATION, DEFAULT_UTILISATION))
    each = needed / len(group) / GIB - float(arguments.get(CPU_OFFLOAD, 0))
    for member in group:
        device = member.device
        if device is None or device.memory_total_mib is None or device.memory_used_mib is None:
            continue
        total = device.memory_total_mib / MIB_PER_GIB
        free = (device.memory_total_mib - device.memory_used_mib) / MIB_PER_GIB
        if each > total * share:
            raise EngineFailed(
                f"model {model!r} needs {each:.1f} GiB for its weights on each of {len(group)} devices, and device "
                f"{member.name} ({device.name}) has {total:.1f} GiB, of which {share:.0%} may be used: more devices for "
                f"each instance (--tensor-parallel-size) make it fit"
            )
        if free < total * share:
            raise EngineFailed(
                f"device {member.name} ({device.name}) has {free:.1f} of {total:.1f} GiB free, and {share:.0%} of it are "
                f"to be used ({UTILISATION}): another process holds its memory"
            )


def require_memory(model: str, needed: int) -> None:
    """Raises EngineFailed when the machine's memory cannot hold the weights: where there is no device."""
    free = free_memory()
    if free is not None and needed > free:
        raise EngineFailed(
            f"model {model!r} needs {needed / GIB:.1f} GiB of memory for its weights, and this machine has "
            f"{free / GIB:.1f} GiB free"
        )


def require_disk(environment: Mapping[str, str], group_size: int) -> None:
    """Raises EngineFailed when there is no room for what vLLM itself writes: compiled graphs, and what a group's processes share."""
    cache = Path(environment.get("VLLM_CACHE_ROOT") or _cache_home(environment) / "vllm")
    free = _free_on_disk(cache)
    if free < COMPILE_CACHE_BYTES:
        raise EngineFailed(
            f"vLLM writes compiled graphs to {cache}, whose disk has {free / GIB:.1f} GiB free: 1 GiB is needed, "
            "here or where VLLM_CACHE_ROOT points to"
        )
    if group_size > 1 and SHARED_MEMORY.is_dir() and (shared := _free_on_disk(SHARED_MEMORY)) < SHARED_MEMORY_BYTES:
        raise EngineFailed(
            f"processes that share a model need 1 GiB in {SHARED_MEMORY}, which has {shared / GIB:.1f} GiB free: "
            "give the container more (--shm-size, or --ipc=host)"
        )


def free_memory() -> int | None:
    """Bytes that can be used before the kernel, or the container's limit, ends something; None where nobody tells."""
    told = [*_available(), *_left_to_the_container()]
    return min(told, default=None)


def _available() -> Iterable[int]:
    if MEMORY_INFO.is_file():
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 2**10


def _left_to_the_container() -> Iterable[int]:
    try:
        limit, used = ((CONTROL_GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return
    if limit.isdigit():
        yield max(0, int(limit) - int(used))


def _config(folder: Path) -> dict[str, object]:
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _cache_home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/")) / ".cache")


def _free_on_disk(folder: Path) -> int:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(existing).free
