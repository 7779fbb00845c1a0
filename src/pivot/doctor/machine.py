"""The machine: disk, memory, clock, accelerators, the programs and models that must be on it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pivot.doctor.finding import Finding, ok, skipped, warning, wrong
from pivot.mlnode.devices import Device, DriverBroken
from pivot.mlnode.model_cache import ModelMissing, require_model

GIB = 2**30
MIN_FREE_DISK_BYTES = 5 * GIB
GOOD_FREE_DISK_BYTES = 100 * GIB
MIN_MEMORY_BYTES = 4 * GIB
MIN_GPU_MEMORY_MIB = 16_000
MIN_DRIVER = 580
"""The first driver of CUDA 13, for which vLLM is built."""
MEMORY_PER_GPU_MEMORY = 1.5
MAX_CLOCK_BEHIND_S = 2.0
"""How far a block's time may lie in this clock's future."""
MAX_CLOCK_AHEAD_S = 20.0
"""How far the latest block may lie in the past; requests are refused when a clock is off by 10 s and a block."""
NS_PER_S = 10**9
MIB = 2**20
MEMORY_FILE = Path("/proc/meminfo")


def disk_has_room(folder: Path, free_bytes: int) -> Finding:
    """A node that cannot write a block stops."""
    found = f"{free_bytes / GIB:.0f} GiB free on the disk of {folder}"
    if free_bytes < MIN_FREE_DISK_BYTES:
        return wrong(
            "disk", found, f"make room: a node stops when it cannot write; keep {_gib(MIN_FREE_DISK_BYTES)} free"
        )
    if free_bytes < GOOD_FREE_DISK_BYTES:
        return warning("disk", found, f"a chain grows: {_gib(GOOD_FREE_DISK_BYTES)} or more last longer")
    return ok("disk", found)


def memory_is_enough(total_bytes: int, gpus: Sequence[Device] = ()) -> Finding:
    """Enough for the processes, and to load a model by way of it."""
    found = f"{total_bytes / GIB:.0f} GiB of memory"
    if total_bytes < MIN_MEMORY_BYTES:
        return wrong("memory", found, f"{_gib(MIN_MEMORY_BYTES)} are needed at least")
    wanted = int(MEMORY_PER_GPU_MEMORY * sum(gpu.memory_total_mib or 0 for gpu in gpus) * MIB)
    if total_bytes < wanted:
        advice = f"{_gib(wanted)} (1.5 times that of the GPUs) load large models without swapping"
        return warning("memory", found, advice)
    return ok("memory", found)


def clock_agrees(now_ns: int, reference_ns: int, whose: str) -> Finding:
    """The machine's clock against the time of the newest block that a synced node knows."""
    ahead_s = (now_ns - reference_ns) / NS_PER_S
    remedy = "set the clock by NTP (timedatectl set-ntp true): signatures and blocks carry its time"
    if ahead_s < -MAX_CLOCK_BEHIND_S:
        return wrong("clock", f"{-ahead_s:.0f} s behind the newest block of {whose}", remedy)
    if ahead_s > MAX_CLOCK_AHEAD_S:
        found = f"{ahead_s:.0f} s after the newest block of {whose}: the clock is ahead, or the chain stands still"
        return wrong("clock", found, remedy)
    return ok("clock", f"agrees with the newest block of {whose}")


def gpus_work(gpus: Sequence[Device] | None, *, needed: bool) -> Finding:
    """The accelerators answer, are large enough, and have a driver for the CUDA that engines want. None: no driver here."""
    if not gpus:
        if needed:
            return warning("gpu", "no NVIDIA GPU answers here", "without one this ML node serves tiny models alone")
        return ok("gpu", "none on this machine: its ML nodes run on others")
    found = ", ".join(f"{gpu.name} ({gpu.memory_total_mib or '?'} MiB, driver {gpu.driver})" for gpu in gpus)
    if any(_major(gpu.driver) < MIN_DRIVER for gpu in gpus):
        return wrong("gpu", found, f"install driver {MIN_DRIVER} or newer (CUDA 13)")
    if any((gpu.memory_total_mib or MIN_GPU_MEMORY_MIB) < MIN_GPU_MEMORY_MIB for gpu in gpus):
        return warning("gpu", found, "proof of compute and the network's models want 16 GB or more on each")
    return ok("gpu", found)


def gpu_driver_fails(error: DriverBroken) -> Finding:
    """nvidia-smi is installed and does not work."""
    return wrong(
        "gpu", str(error), "load or reinstall the driver, in a container give it the GPUs, then try nvidia-smi"
    )


def engine_is_installed(path: Path | None, version: str) -> Finding:
    """The consensus engine of the pinned version is on this machine."""
    if path is None:
        return warning(
            "engine", f"no CometBFT {version} here", "the first start fetches or builds it, which takes a minute"
        )
    return ok("engine", f"CometBFT {version} at {path}")


def models_are_cached(models: Iterable[str], own: Path, caches: Sequence[Path]) -> Finding:
    """Every model that is to be served here is here, whole."""
    wanted = list(models)
    if not wanted:
        return skipped("models", "no ML node of this machine has a model to serve")
    try:
        for model in wanted:
            require_model(model, own, caches)
    except ModelMissing as missing:
        found, _, remedy = str(missing).rpartition("; ")
        return wrong("models", found or str(missing), remedy)
    return ok("models", ", ".join(wanted))


def total_memory(file: Path = MEMORY_FILE) -> int:
    """Bytes of memory of this machine."""
    fields: Mapping[str, str] = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return int(fields["MemTotal"].split()[0]) * 1024


def _major(driver: str) -> int:
    number = driver.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _gib(count: int) -> str:
    return f"{count / GIB:.0f} GiB"
