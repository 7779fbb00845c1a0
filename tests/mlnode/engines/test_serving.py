"""Several instances, and processes that do not do as they should: with plans made for the purpose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from pivot.mlnode.engines import instance as instance_module
from pivot.mlnode.engines import serving as serving_module
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.embedded.engine import embedded_planner
from pivot.mlnode.engines.plan import InstancePlan, Plan, Planner, environment
from pivot.mlnode.engines.serving import ServingEngine
from pivot.mlnode.engines.vllm.engine import vllm_planner
from pivot.protocol.mlnode_api import InferenceState, InferenceUp
from tests.mlnode.engines.kinds import FAKE, LOOPBACK, devices, free_port
from tests.mlnode.engines.tiny import make_model
from tests.mlnode.fakes import until

Make = Callable[[Planner], ServingEngine]


@pytest.fixture
async def make(session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Engines that are ended with the test."""
    monkeypatch.setattr(instance_module, "FIRST_PAUSE_S", 0.01)
    made: list[ServingEngine] = []

    def make(planner: Planner) -> ServingEngine:
        made.append(ServingEngine(session, planner, LOOPBACK, free_port()))
        return made[-1]

    yield make
    await asyncio.gather(*(engine.stop() for engine in made))


@pytest.fixture
async def two(make: Make, models: Path, monkeypatch: pytest.MonkeyPatch) -> ServingEngine:
    """An engine with two instances on four of five devices."""
    make_model(models / "random-chat")
    for name, value in FAKE.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make(vllm_planner(sys.executable, models, devices=devices(5)))


TWO = InferenceUp(model=FAKE.up.model, additional_args=["-tp", "2"])


def of_shell(script: str, instances: int = 1) -> Planner:
    """Plans that run a script."""

    async def plan(_: InferenceUp) -> Plan:
        return Plan((InstancePlan(lambda _: ["sh", "-c", script], environment()),) * instances, stop_timeout_s=0.1)

    return plan


async def port_that_answered(session: aiohttp.ClientSession, engine: ServingEngine, prompt: str = "hi") -> int:
    async with session.post(f"{engine.url}/v1/completions", json={"prompt": prompt}) as response:
        assert response.status == 200, await response.text()
        return int((await response.json())["port"])


async def test_instances_share_devices_and_requests(two: ServingEngine, session: aiohttp.ClientSession) -> None:
    await two.start(TWO)
    status = two.status
    assert (status.state, status.progress, status.stage) == (InferenceState.READY, 1, "serving")
    assert [instance.devices for instance in status.instances] == [["0", "1"], ["2", "3"]]
    assert status.unused_devices == ["4"]
    async with session.post(f"{two.url}/v1/completions", json={"prompt": "slow"}) as slow:
        await slow.content.readline()
        busy = [instance.port for instance in two.status.instances if instance.busy]
        assert len(busy) == 1
        for _ in range(4):  # all go to the other one
            assert await port_that_answered(session, two) not in busy
    await until(lambda: not any(instance.busy for instance in two.status.instances))


async def test_m14_one_dead_instance_does_not_end_serving(two: ServingEngine, session: aiohttp.ClientSession) -> None:
    await two.start(TWO)
    first = two.instances[0]
    assert first.pid
    broken = asyncio.create_task(two.broken())
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: two.status.state == InferenceState.DEGRADED)
    assert two.alive
    assert await port_that_answered(session, two) == two.status.instances[1].port
    await until(lambda: two.status.state == InferenceState.READY)
    assert [instance.restarts for instance in two.status.instances] == [1, 0]
    assert not broken.done()
    broken.cancel()


async def test_m14_a_start_waits_for_all_instances_and_tells_of_one_that_failed(
    two: ServingEngine, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_BROKEN", "2,3")
    await two.start(TWO)
    await until(lambda: two.status.instances[1].restarts)
    status = two.status
    assert (status.state, two.alive) == (InferenceState.DEGRADED, True)
    assert "no memory on this device" in (status.instances[1].error or "")
    assert await port_that_answered(session, two) == status.instances[0].port


async def test_when_no_instance_comes_up_the_start_fails_with_the_first_reason(
    two: ServingEngine, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_BROKEN", "0,1|2,3")
    with pytest.raises(EngineFailed, match="exit code 1: ValueError: no memory on this device"):
        await two.start(TWO)
    assert (two.status.state, two.status.model, two.status.instances) == (InferenceState.FAILED, TWO.model, [])
    with pytest.raises(aiohttp.ClientConnectionError):
        await port_that_answered(session, two)


async def test_m12_a_restart_with_fewer_instances_forgets_the_others(
    two: ServingEngine, session: aiohttp.ClientSession
) -> None:
    await two.start(TWO)
    await two.start(TWO.model_copy(update={"additional_args": ["-tp", "4"]}))
    [left] = two.status.instances
    for _ in range(4):
        assert await port_that_answered(session, two) == left.port


async def test_the_start_is_followed_in_the_log(two: ServingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM_DELAY", "0.5")
    starting = asyncio.create_task(two.start(TWO))
    await until(lambda: two.status.stage == "loading weights, shard 1 of 2")
    status = two.status
    assert status.state == InferenceState.STARTING
    assert 0.4 < status.progress < 0.5
    assert status.model == TWO.model
    await starting


async def test_while_no_instance_serves_requests_are_told_to_come_again(
    two: ServingEngine, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_DELAY", "0.5")
    starting = asyncio.create_task(two.start(TWO))
    await until(lambda: two.status.instances)
    async with session.get(f"{two.url}/health") as response:
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert (await response.json())["error"]["type"] == "server_error"
    await starting


async def test_only_when_all_are_given_up_the_engine_is_broken(make: Make, two: ServingEngine) -> None:
    await two.start(TWO)
    broken = asyncio.create_task(two.broken())
    while not broken.done():
        for pid in [instance.pid for instance in two.instances if instance.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
    assert "exit code -9" in await broken
    assert (two.alive, two.status.state) == (False, InferenceState.FAILED)
    await two.stop()
    assert "exit code -9" in (two.status.error or "")
    await two.start(TWO)
    assert two.status.state == InferenceState.READY


async def test_an_instance_that_hangs_is_passed_over_and_restarted(
    two: ServingEngine, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_module, "HEALTH_INTERVAL_S", 0.05)
    monkeypatch.setattr(instance_module, "HEALTH_TIMEOUT_S", 0.5)
    monkeypatch.setattr(instance_module, "MISSES_UNTIL_RESTARTED", 4)
    await two.start(TWO)
    hung = await port_that_answered(session, two, "hung")
    await until(lambda: two.status.state == InferenceState.DEGRADED)
    assert await port_that_answered(session, two) != hung
    await until(lambda: two.status.state == InferenceState.READY)
    [restarted] = [instance for instance in two.status.instances if instance.restarts]
    assert "has not answered 4 questions for its health" in (restarted.error or "")


async def test_answers_under_way_may_end_before_serving_does(
    two: ServingEngine, session: aiohttp.ClientSession
) -> None:
    await two.start(TWO)
    async with session.post(f"{two.url}/v1/completions", json={"prompt": "hi", "stream": True}) as response:
        stopping = asyncio.create_task(two.stop())
        assert (await response.text()).endswith("data: [DONE]\n\n")
    await stopping


async def test_answers_that_do_not_end_soon_are_cut_off(
    two: ServingEngine, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "DRAIN_S", 0.1)
    await two.start(TWO)
    async with session.post(f"{two.url}/v1/completions", json={"prompt": "slow"}) as response:
        await response.content.readline()
        await two.stop()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_two_models_are_served_at_once_by_two_nodes(
    make: Make, models: Path, session: aiohttp.ClientSession
) -> None:
    make_model(models / "another", seed=2)
    engines = {"pivot/tiny-random": make(embedded_planner(models)), "pivot/another": make(embedded_planner(models))}
    await asyncio.gather(*(engine.start(InferenceUp(model=model)) for model, engine in engines.items()))
    for model, engine in engines.items():
        async with session.post(f"{engine.url}/v1/completions", json={"model": model, "prompt": "hi"}) as response:
            assert (await response.json())["model"] == model


async def test_an_engine_that_does_not_come_up_in_time_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_module, "START_TIMEOUT_S", 0.05)
    engine = make(of_shell("sleep 1000"))
    with pytest.raises(EngineFailed, match="did not come up within"):
        await engine.start(TWO)
    assert not engine.alive


@pytest.mark.parametrize("command", [["/no/such/program"], ["sleep", "1\0"]])
async def test_an_engine_that_cannot_be_run_at_all_is_a_failure(make: Make, command: list[str]) -> None:
    async def plan(_: InferenceUp) -> Plan:
        return Plan((InstancePlan(lambda _: command, {}),))

    with pytest.raises(EngineFailed, match="cannot be started"):
        await make(plan).start(TWO)


async def test_an_engine_that_ignores_sigterm_is_killed_with_its_children(make: Make, tmp_path: Path) -> None:
    engine = make(of_shell(f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; wait"))
    starting = asyncio.create_task(engine.start(TWO))
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    child = int((tmp_path / "child").read_text())
    await until(lambda: not Path(f"/proc/{child}").exists() or "(sleep) Z" in Path(f"/proc/{child}/stat").read_text())


async def test_the_output_is_passed_on_and_its_last_line_is_the_reason(
    make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "echo one; head -c 2000000 /dev/zero; echo; printf 'half\\rno memory left\\n'; echo; exit 3"
    with pytest.raises(EngineFailed, match=r"the engine ended with exit code 3: no memory left$"):
        await make(of_shell(script)).start(TWO)
    assert "one\n" in capfd.readouterr().err


async def test_the_nodes_own_settings_do_not_reach_an_engine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLNODE_TOKEN", "secret")
    with pytest.raises(EngineFailed, match=r"exit code 0: token=$"):
        await make(of_shell("echo token=$MLNODE_TOKEN")).start(TWO)


async def test_stopping_what_was_never_started(session: aiohttp.ClientSession) -> None:
    engine = ServingEngine(session, of_shell("true"), "0.0.0.0", 5000)
    await engine.stop()
    assert await engine.broken() == "no engine was started"
    assert engine.url == "http://127.0.0.1:5000"
    assert ServingEngine(session, of_shell("true"), "::1", 5000).url == "http://[::1]:5000"
    assert engine.status.state == InferenceState.STOPPED
