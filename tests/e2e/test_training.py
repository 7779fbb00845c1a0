"""Two hosts of a devnet train one small model: asked for over HTTP, assigned, run on their ML nodes, finished on the chain."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.between_hosts.signatures import signed_headers
from pivot.devnet.plan import load_plan
from pivot.primitives.keys import PrivateKey
from pivot.protocol.signing import training_sign_bytes
from tests.conftest import pivot, tails
from tests.e2e.network import Network, get, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
TASKS = "/v1/training/tasks"
BODY = json.dumps({"hardware_resources": [{"type": "CPU", "count": 2}], "config": {"datasets": {"train": "symbols"}}})
PATIENCE_SECONDS = 400.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two hosts with an ML node each, and epochs that are long enough to train in."""
    home = tmp_path_factory.mktemp("training")
    up = pivot("devnet", "up", "--home", str(home), "--hosts", "2", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def ask(network: Network, session: aiohttp.ClientSession, key: PrivateKey) -> tuple[int, dict[str, Any]]:
    """Ask the first host for a training, with a signature by this key."""
    host = network.hosts[0]
    words = partial(training_sign_bytes, network.contract["chain_id"], host["address"], TASKS, BODY.encode())
    headers = signed_headers(key, words, time.time_ns())
    async with session.post(host["public_url"] + TASKS, data=BODY, headers=headers) as answer:
        return answer.status, await answer.json()


def account(network: Network, host: int) -> PrivateKey:
    return PrivateKey.from_hex(load_plan(network.home).hosts[host].account_key)


def said(home: Path, host: int) -> str:
    return (home / "logs" / f"host{host}-node1.log").read_text(errors="replace")


async def test_two_hosts_train_one_model(network: Network, session: aiohttp.ClientSession) -> None:
    async def both_are_members() -> bool:
        members = await network.members(session)
        return all(members.get(host["address"], 0) > 0 for host in network.hosts)

    await until(both_are_members)
    status, answer = await ask(network, session, account(network, 1))
    assert (status, answer["error"]["code"]) == (403, "not_permitted")
    status, answer = await ask(network, session, account(network, 0))
    assert status == 201, answer
    url = f"{network.hosts[0]['public_url']}{TASKS}/{answer['task']['id']}"

    async def ended() -> dict[str, Any] | None:
        task: dict[str, Any] = await get(session, url)
        return task if task["status"] not in {"TRAINING_QUEUED", "TRAINING_JOINING", "TRAINING_RUNNING"} else None

    task = await until(ended, PATIENCE_SECONDS)
    assert task["status"] == "TRAINING_FINISHED", said(network.home, 0) + said(network.home, 1)
    assert {each["participant"] for each in task["assignees"]} == {host["address"] for host in network.hosts}

    logs = [said(network.home, host) for host in range(2)]
    for log in logs:
        [initial], [final] = re.findall(r"initial loss ([0-9.]+)", log), re.findall(r"final loss ([0-9.]+)", log)
        assert float(final) < float(initial) - 1.0
    parameters = {tuple(re.findall(r"parameters ([0-9a-f]{64})", log)) for log in logs}
    assert len(parameters) == 1

    async def both_serve() -> bool:
        nodes = [node for host in network.hosts for node in await get(session, f"{host['admin_url']}/admin/v1/nodes")]
        return all(node["state"]["current_status"] in {"INFERENCE", "POC"} for node in nodes)

    await until(both_serve)
