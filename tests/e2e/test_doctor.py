"""`pivot doctor` beside a host that runs: nothing is wrong with it, and what is made wrong is told with what to do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pivot.devnet.plan import load_plan
from pivot.devnet.processes import process_groups
from pivot.node.engine import find_engine
from tests.conftest import pivot, tails
from tests.e2e.network import Network, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
OF_THIS_MACHINE = {"disk", "memory", "gpu"}
"""What these find is no matter of the network: a warning on a small machine."""
COMMAND_SECONDS = 60
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One host with two ML nodes."""
    home = tmp_path_factory.mktemp("network")
    up = pivot(
        *("devnet", "up", "--home", str(home), "--ml-nodes", "2", "--preset", "test"),
        *("--detach", "--json"),
    )
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def environment(network: Network) -> dict[str, str]:
    """What the host's API node is told, and where peers reach it."""
    plan = load_plan(network.home)
    groups = process_groups(plan, network.home, find_engine())
    [api] = [spec for group in groups for spec in group if spec.name == "api"]
    return os.environ | api.environment | {"P2P_EXTERNAL_ADDRESS": f"tcp://127.0.0.1:{plan.hosts[0].p2p_port}"}


def doctor(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pivot.cli", "doctor", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )


def findings(environment: dict[str, str], *arguments: str) -> dict[str, dict[str, Any]]:
    told = doctor(environment, "--json", *arguments)
    found = {finding["check"]: finding for finding in json.loads(told.stdout)}
    assert told.returncode == any(finding["state"] == "wrong" for finding in found.values()), told.stderr
    return found


def wrong(found: dict[str, dict[str, Any]]) -> set[str]:
    assert all(finding["remedy"] for finding in found.values() if finding["state"] in {"wrong", "warning"})
    return {check for check, finding in found.items() if finding["state"] == "wrong"}


@contextmanager
def frozen(network: Network, name: str) -> Iterator[None]:
    """One of the network's processes answers nobody until the block ends."""
    pid = next(each["pid"] for each in network.processes() if each["name"] == name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_with_a_host_that_runs_nothing_is_wrong(network: Network, environment: dict[str, str]) -> None:
    found = findings(environment)
    assert wrong(found) == set()
    looked_at = {check: finding["state"] for check, finding in found.items() if check not in OF_THIS_MACHINE}
    from_outside = {check for check in looked_at if check.endswith("from outside")}
    assert {looked_at.pop(check) for check in from_outside} == {"skipped"}
    assert set(looked_at.values()) == {"ok"}, found
    assert {f"callback url from {node}" for node in ids(network)} <= set(looked_at)
    assert {"chain node", "clock", "engine version", "signer", "registration", "gateway account", "p2p"} <= set(
        looked_at
    )
    assert found["registration"]["found"].startswith(network.hosts[0]["address"])


def ids(network: Network) -> list[str]:
    return [node["id"] for node in network.hosts[0]["ml_nodes"]]


def test_before_the_start_what_is_missing_is_told_with_what_to_do(
    network: Network, environment: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "node-config.json"
    node = {"id": "a", "host": "127.0.0.1", "inference_port": 1, "poc_port": 2, "max_concurrent": 1}
    config.write_text(json.dumps([{**node, "models": {"Qwen/Nonesuch": {"args": []}}}]))
    changed = {
        "NODE_CONFIG_PATH": str(config),
        "HF_HOME": str(tmp_path),
        "SEED_NODE_RPC_URL": "http://127.0.0.1:1",
        "DAPI_API__ADMIN_SERVER_PORT": str(free_port()),
        "DAPI_API__ADMIN_SERVER_HOST": "0.0.0.0",
    }
    taken = {environment[f"DAPI_{name}_SERVER_PORT"] for name in ("API__PUBLIC", "API__ML")}
    taken.add(environment["DAPI_TRAINING__SERVER_PORT"])
    taken.add(environment["DAPI_CHAIN_NODE__URL"].rpartition(":")[2])
    found = findings(environment | changed, "--before-start")
    assert wrong(found) == {"admin port", "seed", "models", *(f"port {number}" for number in taken)}
    fetching = f"`pivot models pull Qwen/Nonesuch --cache-dir {tmp_path}/hub` fetches it"
    assert found["models"]["remedy"].startswith(fetching)

    seed = {"SEED_NODE_RPC_URL": network.hosts[0]["rpc_url"]}
    found = findings(environment | seed, "--before-start")
    assert (found["seed"]["state"], found["clock"]["state"]) == ("ok", "ok")


def test_an_ml_node_that_does_not_answer_and_a_wrong_address_are_told(
    network: Network, environment: dict[str, str]
) -> None:
    found: dict[str, dict[str, Any]] = {}
    with frozen(network, "mlnode"):
        end = time.monotonic() + PATIENCE_SECONDS
        while not wrong(found) and time.monotonic() < end:
            found = findings(environment)
    [node] = [check.removeprefix("ml node ") for check in wrong(found)]
    assert node in ids(network)
    assert found[f"callback url from {node}"]["state"] == "skipped"
    assert "cannot be asked" in found[f"callback url from {node}"]["found"]

    end = time.monotonic() + PATIENCE_SECONDS
    while wrong(findings(environment)) and time.monotonic() < end:
        time.sleep(1)
    told = doctor(environment | {"DAPI_API__PUBLIC_URL": "http://127.0.0.1:1"})
    assert told.returncode == 1
    assert "wrong    public url: no API node answers at http://127.0.0.1:1 → open the port to everybody" in told.stdout
    assert f"wrong    registration: the chain has {network.hosts[0]['public_url']}" in told.stdout
    assert told.stderr == "2 things are wrong.\n"
