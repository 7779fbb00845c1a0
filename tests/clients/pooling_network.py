"""A network whose hosts also serve a model for embeddings: registered by a vote, on an ML node of its own at each host."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from pivot.mlnode.settings import REPOSITORY_MODELS
from tests.conftest import pivot, tails
from tests.e2e.network import Network, free_port, get, until
from tests.e2e.people import PASSED, People

VECTORS = "pivot/tiny-vectors"
"""The tiny chat model, asked for its last states."""
HOSTS = 2


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Network]:
    """The network, as processes; its hosts do not serve the model before `serve_vectors`."""
    up = pivot("devnet", "up", "--home", str(folder), "--hosts", str(HOSTS), "--preset", "test", "--detach", "--json")
    assert up.returncode == 0, f"the network did not come up: {up.stderr}\n{tails(folder)}"
    try:
        yield Network(folder, json.loads(up.stdout))
    finally:
        down = pivot("devnet", "down", "--home", str(folder))
    assert down.returncode == 0, down.stderr


@contextlib.contextmanager
def ml_nodes(network: Network) -> Iterator[list[dict[str, Any]]]:
    """An ML node for each host: what the hosts tell their Admin APIs."""
    models = network.home / "models"
    models.mkdir()
    (models / VECTORS.rpartition("/")[2]).symlink_to(REPOSITORY_MODELS / "tiny-chat")
    with contextlib.ExitStack() as stack:
        nodes = []
        for host in range(HOSTS):
            management, inference = free_port(), free_port()
            environment = os.environ | {
                "MLNODE_HOST": "127.0.0.1",
                "MLNODE_MANAGEMENT_PORT": str(management),
                "MLNODE_INFERENCE_PORT": str(inference),
                "MLNODE_MODELS_DIR": str(models),
                "MLNODE_STATE_DIR": str(network.home / f"vectors{host}"),
            }
            log = stack.enter_context((network.home / "logs" / f"vectors{host}.log").open("ab"))
            process = subprocess.Popen([sys.executable, "-m", "pivot.mlnode"], env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            nodes.append(
                {
                    "id": "vectors",
                    "host": "127.0.0.1",
                    "inference_port": inference,
                    "poc_port": management,
                    "max_concurrent": 8,
                    "models": {VECTORS: {"args": []}},
                }
            )
        yield nodes


async def serve_vectors(network: Network, nodes: list[dict[str, Any]], folder: Path) -> None:
    """Register the model, declare the nodes, and wait until the hosts of an epoch serve it."""
    people = People(network, folder)
    proposal = people.propose(
        "Embeddings",
        {
            "@type": "/inference.inference.MsgRegisterModel",
            "id": VECTORS,
            "context_window": "1024",
            "coins_per_token": "3",
            "model_args": ["--runner", "pooling", "--convert", "embed"],
        },
    )
    people.vote(proposal, host0="yes")
    decided = await people.decided(proposal)
    assert decided["status"] == PASSED, decided
    async with aiohttp.ClientSession() as session:
        for host, node in zip(network.hosts, nodes, strict=True):
            url = f"{host['admin_url']}/admin/v1/nodes"

            async def declared(url: str = url, node: dict[str, Any] = node) -> bool:
                async with session.post(url, json=node) as answer:  # this host's node may not have seen the model yet
                    return answer.status == 200

            await until(declared)

        async def served() -> bool:
            told = await get(session, f"{network.hosts[0]['public_url']}/v1/epochs/current/participants")
            members = told["active_participants"]["participants"]
            return len(members) == HOSTS and all(VECTORS in member["models"] for member in members)

        await until(served)
