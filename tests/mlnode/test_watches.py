"""A clock that jumps, a device that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pivot.mlnode import watches as module
from pivot.mlnode.devices import NO_TOOL, Device, DriverBroken
from pivot.mlnode.watches import CLOCK_WARNING_S, DEVICES_FRESH_S, ClockWatch, DeviceWatch, instances_down
from pivot.protocol.mlnode_api import InferenceInstance, InferenceState, InferenceStatus
from tests.mlnode.fakes import until
from tests.mlnode.test_devices import H100, ODD


class Clocks:
    """A wall clock that can be set, a steady one that cannot."""

    def __init__(self) -> None:
        self.steady = 1_000.0
        self.ahead = 1.7e9

    def watch(self) -> ClockWatch:
        return ClockWatch(lambda: self.steady + self.ahead, lambda: self.steady)


def test_a_clock_that_jumps_is_told_for_an_hour() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.steady += 3_000
    watch.look()
    assert watch.warnings == []
    clocks.ahead += 37
    watch.look()
    assert watch.warnings == [
        "This machine's clock jumped forward by 37.0 s, to 2023-11-14T23:20:37+00:00: it was set, or the machine slept."
    ]
    clocks.steady += CLOCK_WARNING_S - 1
    watch.look()
    assert watch.warnings
    clocks.ahead -= 40
    watch.look()
    assert "jumped back by 40.0 s" in watch.warnings[0]
    assert watch.jumped_s == 77
    clocks.steady += CLOCK_WARNING_S
    assert watch.warnings == []


def test_a_clock_that_is_kept_in_step_is_no_jump() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for _ in range(100):
        clocks.steady += 5
        clocks.ahead += 0.5
        watch.look()
    assert (watch.warnings, watch.jumped_s) == ([], 0)


async def test_the_clock_is_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOCK_LOOK_S", 0.001)
    clocks = Clocks()
    watch = clocks.watch()
    running = asyncio.create_task(watch.run())
    for jumps in (1, 2):
        clocks.ahead += 10
        await until(lambda jumps=jumps: watch.jumped_s == 10 * jumps)  # type: ignore[misc]
    running.cancel()
    await asyncio.wait({running})


class Driver:
    """Tells what it is given, or fails with it."""

    def __init__(self, answer: Sequence[Device] | str | None = (H100, ODD)) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self) -> Sequence[Device] | None:
        self.asked += 1
        if isinstance(self.answer, str):
            raise DriverBroken(self.answer)
        return self.answer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEVICES_FRESH_S", 0)


@pytest.mark.usefixtures("impatient")
async def test_a_device_that_falls_out_is_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver()
    watch = DeviceWatch(driver)
    await watch.look()
    assert (list(watch.devices), watch.reason, watch.warnings) == ([H100, ODD], "", [])
    driver.answer = [ODD]
    for _ in range(3):
        await watch.look()
    lost = "GPU 0 (NVIDIA H100 80GB HBM3, GPU-aaaa) is lost: nvidia-smi lists it no more."
    assert watch.warnings == [lost]
    assert [record.getMessage() for record in caplog.records] == [lost]
    driver.answer = [H100, ODD]
    await watch.look()
    assert watch.warnings == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["nvidia-smi fails: Unknown Error", None])
async def test_a_driver_that_worked_and_fails_is_told(fault: str | None) -> None:
    driver = Driver()
    watch = DeviceWatch(driver)
    await watch.look()
    driver.answer = fault
    await watch.look()
    assert watch.warnings == [f"The GPUs of this machine may be lost: {fault or NO_TOOL}"]
    assert watch.devices == ()


@pytest.mark.usefixtures("impatient")
async def test_a_driver_that_never_worked_is_a_reason_and_no_loss() -> None:
    watch = DeviceWatch(Driver("nvidia-smi fails: no driver"))
    await watch.look()
    assert (watch.devices, watch.reason, watch.warnings) == ((), "nvidia-smi fails: no driver", [])


async def test_many_questions_are_one_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    watch = DeviceWatch(driver)
    await asyncio.gather(*(watch.look() for _ in range(20)))
    assert (driver.asked, DEVICES_FRESH_S > 0) == (1, True)


@pytest.mark.usefixtures("impatient")
async def test_devices_are_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEVICES_LOOK_S", 0.001)
    driver = Driver()
    watch = DeviceWatch(driver)
    running = asyncio.create_task(watch.run())
    await until(lambda: driver.asked > 2)
    driver.answer = None
    await until(lambda: watch.warnings)
    running.cancel()
    await asyncio.wait({running})


async def test_a_machine_without_a_driver_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEVICES_LOOK_S", 0.001)
    driver = Driver(None)
    watch = DeviceWatch(driver)
    await watch.run()
    assert (driver.asked, watch.reason, watch.warnings) == (1, NO_TOOL, [])


def test_an_instance_that_is_down_is_told_but_not_a_first_start() -> None:
    new = InferenceInstance(port=1, healthy=False, busy=0, restarts=0)
    ended = InferenceInstance(port=1, devices=["0", "1"], healthy=False, busy=0, restarts=3, error="exit code -9")
    serving = InferenceInstance(port=2, healthy=True, busy=0, restarts=1, error="exit code -9")

    def told(*instances: InferenceInstance, state: InferenceState) -> list[str]:
        return instances_down(InferenceStatus(state=state, instances=list(instances)))

    assert told(new, new, state=InferenceState.STARTING) == []
    assert told(serving, serving, state=InferenceState.READY) == []
    assert told(ended, state=InferenceState.STARTING) == [
        "One of 1 engine instances does not serve (devices 0, 1): exit code -9."
    ]
    assert told(serving, new, state=InferenceState.DEGRADED) == [
        "One of 2 engine instances does not serve: it is being started."
    ]
