"""A devnet without ML nodes, in this process: up, told, continued, stopped."""

import asyncio
import io
import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from pivot.devnet.network import STATUS_FILE, Network, end_orphans, prepare, running, stop_running
from pivot.devnet.plan import CONTRACT_FILE, DevnetError, Plan, new_plan, read_contract
from pivot.devnet.run import run
from pivot.devnet.screen import render
from pivot.devnet.status import NetworkStatus, ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def plan() -> Plan:
    return new_plan(hosts=1, ml_nodes=0, preset="test")


async def up(plan: Plan, home: Path) -> tuple["asyncio.Task[None]", io.StringIO]:
    """The network, running in a task, as soon as it is ready."""
    screen = io.StringIO()
    task = asyncio.create_task(run(plan, home, Console(file=screen, width=120)))
    contract = home / CONTRACT_FILE
    while not contract.exists() and not task.done():
        await asyncio.sleep(0.1)
    if task.done():
        task.result()
    return task, screen


async def test_a_network_comes_up_and_continues_from_the_state_on_disk(plan: Plan, tmp_path: Path) -> None:
    task, screen = await up(plan, tmp_path)
    first = await ask(tmp_path, plan)
    assert {process["name"] for process in first.processes} == {"application", "engine", "gateway", "api"}
    assert first.height > 0
    assert first.chain_id == plan.chain_id
    with pytest.raises(DevnetError, match="is up already"):
        end_orphans(tmp_path)
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert "To send" not in screen.getvalue()
    assert "curl" in screen.getvalue()
    assert running(tmp_path) is None
    assert read_contract(tmp_path)["chain_id"] == plan.chain_id

    (tmp_path / CONTRACT_FILE).unlink()
    task, _ = await up(plan, tmp_path)
    assert (await ask(tmp_path, plan)).height >= first.height
    os.kill(os.getpid(), signal.SIGINT)
    await task


async def test_a_network_that_lacks_something_says_what(plan: Plan, tmp_path: Path) -> None:
    prepare(plan, tmp_path)
    network = Network(plan, tmp_path)
    with pytest.raises(DevnetError, match="still lacks the first block"):
        await network.wait_ready(timeout_s=0.3)


async def test_orphans_of_a_dead_supervisor_are_ended(tmp_path: Path) -> None:
    command = ["sleep", "100"]
    process = await asyncio.create_subprocess_exec(*command, env={"HOME": str(tmp_path)}, start_new_session=True)
    stranger = await asyncio.create_subprocess_exec("sleep", "100", start_new_session=True)
    listed = [{"name": "api", "pid": process.pid}, {"name": "engine", "pid": stranger.pid}, {"name": "x", "pid": None}]
    (tmp_path / STATUS_FILE).write_text(json.dumps({"supervisor": 2**22 - 1, "processes": listed}))
    end_orphans(tmp_path)
    assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGKILL
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_what_is_not_up_cannot_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(DevnetError, match="no network is up"):
        await stop_running(tmp_path)
    end_orphans(tmp_path)  # and there is nothing to end


def test_the_screen_shows_hosts_processes_requests_and_lines_to_copy(plan: Plan, tmp_path: Path) -> None:
    request = {
        "inference_id": "abc" * 20,
        "status": "FINISHED",
        "prompt_token_count": "7",
        "completion_token_count": "5",
        "actual_cost": "1200",
    }
    status = NetworkStatus(
        plan.chain_id,
        height=77,
        epoch=3,
        phase="Inference",
        blocks_to_next_sprint=12,
        processes=[{"name": "engine", "host": 0, "state": "running"}, {"name": "api", "host": 0, "state": "waiting"}],
        last_requests=[request],
    )
    console = Console(file=io.StringIO(), width=150)
    console.print(render(plan, tmp_path, status, ready=True))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("block 77", "epoch 3", "12 blocks", "engine·0", "FINISHED", "7 + 5", "1200", "curl", "openai"):
        assert part in told
    console.print(render(plan, tmp_path, status, ready=False))
    assert "Starting" in console.file.getvalue()  # type: ignore[attr-defined]
