from pathlib import Path

import pytest

from pivot.doctor import machine
from pivot.doctor.finding import State
from pivot.doctor.machine import GIB
from pivot.mlnode.devices import Device, DriverBroken


def gpu(name: str, memory_mib: int | None, driver: str) -> Device:
    return Device(index=0, uuid="GPU-aaaa", name=name, memory_total_mib=memory_mib, driver=driver)


H100 = gpu("NVIDIA H100 80GB HBM3", 81_559, "580.105.08")
SECOND = 10**9


@pytest.mark.parametrize(("free_gib", "state"), [(1, State.WRONG), (50, State.WARNING), (500, State.OK)])
def test_a_disk_that_is_nearly_full_is_wrong(free_gib: int, state: State) -> None:
    finding = machine.disk_has_room(Path("/data"), free_gib * GIB)
    assert (finding.state, f"{free_gib} GiB free on the disk of /data" in finding.found) == (state, True)


@pytest.mark.parametrize(
    ("gib", "gpus", "state"),
    [(2, [], State.WRONG), (8, [], State.OK), (100, [H100], State.WARNING), (128, [H100], State.OK)],
)
def test_memory_is_measured_against_that_of_the_gpus(gib: int, gpus: list[Device], state: State) -> None:
    assert machine.memory_is_enough(gib * GIB, gpus).state is state


@pytest.mark.parametrize(
    ("ahead_s", "state", "told"),
    [(-60, State.WRONG, "60 s behind"), (0, State.OK, "agrees"), (6, State.OK, ""), (300, State.WRONG, "300 s after")],
)
def test_a_clock_that_is_off_is_wrong(ahead_s: int, state: State, told: str) -> None:
    finding = machine.clock_agrees(1_000 * SECOND + ahead_s * SECOND, 1_000 * SECOND, "the seed")
    assert (finding.state, told in finding.found, "the seed" in finding.found) == (state, True, True)


@pytest.mark.parametrize(
    ("gpus", "needed", "state", "told"),
    [
        (None, False, State.OK, "run on others"),
        (None, True, State.WARNING, "no NVIDIA GPU"),
        ([], True, State.WARNING, "no NVIDIA GPU"),
        ([H100, H100], True, State.OK, "H100"),
        ([gpu("Tesla T4", 15_360, "580.65.06")], True, State.WARNING, "Tesla T4"),
        ([gpu("H100", 81_559, "575.57.08")], True, State.WRONG, "driver 575.57.08"),
        ([gpu("GB10", None, "580.95.05")], True, State.OK, "GB10 (? MiB"),
        ([gpu("H100", 81_559, "N/A")], True, State.WRONG, "driver N/A"),
    ],
)
def test_gpus_must_be_large_and_their_driver_new(
    gpus: list[Device] | None, needed: bool, state: State, told: str
) -> None:
    finding = machine.gpus_work(gpus, needed=needed)
    assert (finding.state, told in finding.found) == (state, True)


def test_a_broken_driver_is_wrong() -> None:
    finding = machine.gpu_driver_fails(DriverBroken("nvidia-smi fails: no driver"))
    assert (finding.state, finding.found) == (State.WRONG, "nvidia-smi fails: no driver")


def test_the_engine_is_here_or_will_be_fetched() -> None:
    assert machine.engine_is_installed(Path("/bin/cometbft"), "0.38.26").state is State.OK
    assert machine.engine_is_installed(None, "0.38.26").state is State.WARNING


def test_a_model_that_is_not_cached_is_told_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    assert machine.models_are_cached(["pivot/tiny"], tmp_path, []).state is State.OK
    assert machine.models_are_cached([], tmp_path, []).state is State.SKIPPED
    finding = machine.models_are_cached(["pivot/tiny", "Qwen/QwQ-32B"], tmp_path, [tmp_path / "hub"])
    assert finding.state is State.WRONG
    assert finding.remedy.startswith(f"`pivot models pull Qwen/QwQ-32B --cache-dir {tmp_path}/hub` fetches it (")
    assert "'Qwen/QwQ-32B' is not on this node" in finding.found


def test_this_machine_is_measured(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16384 kB\nMemFree:   1 kB\n")
    assert machine.total_memory(meminfo) == 16 * 2**20
    assert machine.total_memory() > 0
