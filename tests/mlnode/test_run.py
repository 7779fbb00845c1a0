"""The node as a process: what it says, how it ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.mlnode.fakes import FakeApiNode, sprint

UP = {"model": "pivot/tiny-random", "dtype": "float16"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def node(**settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running node. Yields its process and address."""
    port = free_port()
    environment = {
        "MLNODE_MANAGEMENT_PORT": str(port),
        "MLNODE_INFERENCE_PORT": str(free_port()),
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pivot.mlnode",
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment | settings,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            while process.returncode is None:
                try:
                    async with session.get(f"{url}/health"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # to the end of what its workers may still say


async def get(url: str) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        answer: dict[str, object] = await response.json()
        return answer


async def post(url: str, body: object) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        answer: dict[str, object] = await response.json()
        return answer


def children(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
        return {int(child) for child in file.read().split()}


async def gone(pids: set[int]) -> None:
    while any(state(pid) != "Z" for pid in pids):
        await asyncio.sleep(0.01)


def state(pid: int) -> str:
    """The kernel's letter for what a process is doing; Z also when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


async def test_m_item23_leaves_survive_the_sudden_end_of_the_node_in_the_midst_of_a_sprint(
    api: FakeApiNode, tmp_path: Path
) -> None:
    async def status(url: str) -> dict[str, Any]:
        return await get(f"{url}/api/v1/pow/status")

    settings = {"MLNODE_STATE_DIR": str(tmp_path)}
    async with node(**settings) as (process, url):
        await post(f"{url}/api/v1/pow/init/generate", sprint(api.url).model_dump())
        while api.leaves < 100:
            await asyncio.sleep(0.01)
        api.status = 503
        while (told := await status(url))["waiting"] < 300:
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    api.status = 200
    before = api.leaves
    async with node(**settings) as (_, url):
        answer = await post(f"{url}/api/v1/pow/init/generate", sprint(api.url, first_index=before).model_dump())
        assert answer["pow_status"]["status"] == "LOADING"  # type: ignore[index]
        assert (await status(url))["computed"] >= told["computed"]
        while api.leaves < told["computed"] + 100:
            await asyncio.sleep(0.01)
    batches = sorted(api.generated.values(), key=lambda batch: batch.first_index)
    assert all(a.first_index + a.count == b.first_index for a, b in itertools.pairwise(batches))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_node_and_its_worker_and_logs_are_json(
    api: FakeApiNode, ending: signal.Signals
) -> None:
    async with node() as (process, url):
        await post(f"{url}/api/v1/pow/init/generate", sprint(api.url).model_dump())
        while not api.leaves:
            await asyncio.sleep(0.01)
        workers = children(process.pid)
        assert workers
        process.send_signal(ending)
        assert process.stderr
        output = await process.stderr.read()
        assert await process.wait() == 0
        await gone(workers)
    lines = [json.loads(line) for line in output.splitlines()]
    assert any(line["event"] == "in mode POW" and line["logger"] == "pivot.mlnode.service" for line in lines)


async def test_from_proof_of_compute_to_inference_and_back(api: FakeApiNode, models: Path) -> None:
    port = free_port()
    async with node(MLNODE_MODELS_DIR=str(models), MLNODE_INFERENCE_PORT=str(port)) as (process, url):
        for _ in range(2):  # test_m8: the inference port opens again
            await post(f"{url}/api/v1/pow/init/generate", sprint(api.url).model_dump())
            seen = api.leaves
            while api.leaves == seen:
                await asyncio.sleep(0.01)
            refused = await post(f"{url}/api/v1/inference/up", UP)
            assert (
                refused["detail"]
                == "Cannot run INFERENCE because MLNode is currently in POW mode. Please stop POW first."
            )
            await post(f"{url}/api/v1/stop", None)
            assert await post(f"{url}/api/v1/inference/up", UP) == {"status": "OK"}
            answer = await post(f"http://127.0.0.1:{port}/v1/completions", {"prompt": "hi", "max_tokens": 3})
            assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
            await post(f"{url}/api/v1/stop", None)
            assert children(process.pid) == set()


async def test_m14_an_engine_that_dies_is_started_again_and_told_of(models: Path) -> None:
    async with node(MLNODE_MODELS_DIR=str(models)) as (process, url):
        assert await post(f"{url}/api/v1/inference/up", UP) == {"status": "OK"}
        (engine,) = children(process.pid)
        os.kill(engine, signal.SIGKILL)
        while (status := await get(f"{url}/api/v1/inference/status"))["state"] != "starting":
            await asyncio.sleep(0.01)
        assert (await get(f"{url}/api/v1/state"))["state"] == "INFERENCE"
        while (status := await get(f"{url}/api/v1/inference/status"))["state"] != "ready":
            await asyncio.sleep(0.01)
        assert "the engine ended with exit code -9" in str(status["instances"])


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_an_engine_does_not_outlive_its_node(models: Path, ending: signal.Signals) -> None:
    async with node(MLNODE_MODELS_DIR=str(models)) as (process, url):
        await post(f"{url}/api/v1/inference/up", UP)
        engines = children(process.pid)
        assert engines
        process.send_signal(ending)
        await gone(engines)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_worker_does_not_outlive_a_killed_node(api: FakeApiNode) -> None:
    async with node() as (process, url):
        await post(f"{url}/api/v1/pow/init/generate", sprint(api.url).model_dump())
        while not api.leaves:
            await asyncio.sleep(0.01)
        workers = children(process.pid)
        assert workers
        process.kill()
        await gone(workers)


async def test_a_public_address_without_a_token_is_a_usage_error() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pivot.mlnode",
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"MLNODE_HOST": "0.0.0.0"},
    )
    _, output = await process.communicate()
    assert process.returncode == 2
    assert b"MLNODE_TOKEN" in output


async def test_a_taken_management_port_is_a_failure_with_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with node(MLNODE_MANAGEMENT_PORT=str(taken.getsockname()[1])) as (process, _):
            assert process.stderr
            output = await process.stderr.read()
            assert await process.wait() == 1
    assert output.startswith(b"MLNODE_MANAGEMENT_PORT: cannot listen on 127.0.0.1:")
    assert b"Address already in use" in output


async def test_a_training_runs_in_its_folder_and_leaves_a_stopped_node(tmp_path: Path) -> None:
    script = "import os, time; print('task', os.environ['TASK_ID'], os.listdir('.'), flush=True); time.sleep(0.2)"
    command = shlex.join([sys.executable, "-c", script])
    async with node(MLNODE_TRAIN_COMMAND=command, MLNODE_TRAIN_DIR=str(tmp_path)) as (_, url):
        body = {"train_config": {"steps": 3}, "train_env": {"TASK_ID": "7"}}
        assert await post(f"{url}/api/v1/train/start", body) == {"status": "Training started"}
        assert (await get(f"{url}/api/v1/state"))["state"] == "TRAIN"
        while (answer := await get(f"{url}/api/v1/state"))["state"] != "STOPPED":
            await asyncio.sleep(0.02)
        assert "error" not in answer
        status = await get(f"{url}/api/v1/train/status")
        assert (status["status"], status["exit_code"]) == (False, 0)
        assert status["last_line"] == "task 7 ['train_config.toml']"
    assert (tmp_path / "task-7-rank-0" / "train_config.toml").read_text() == '"steps" = 3\n'


async def test_a_gpu_that_falls_out_is_told_by_the_running_node(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    line = "echo '{index}, GPU-{index}, 81559, 1234, 97, 61, 565.57.01, H100'\n"
    both = "".join(line.format(index=index) for index in (0, 1))
    tool.write_text(f"#!/bin/sh\n{both}")
    tool.chmod(0o755)
    async with node(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}") as (_, url):
        assert len((await get(f"{url}/api/v1/gpu"))["devices"]) == 2  # type: ignore[arg-type]
        tool.write_text(f"#!/bin/sh\n{line.format(index=0)}")
        while not (warnings := (await get(f"{url}/api/v1/state")).get("warnings")):
            await asyncio.sleep(0.1)
            await get(f"{url}/api/v1/gpu")
        assert warnings == ["GPU 1 (H100, GPU-1) is lost: nvidia-smi lists it no more."]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
            assert "pivot_mlnode_gpu_warnings 1.0" in await response.text()
