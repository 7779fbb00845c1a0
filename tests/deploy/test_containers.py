"""A host as the guide has it: images from local bases, all of `deploy/join` in one go as written, with the ML node that its
NODE_CONFIG names, and one on "another server" that is registered by curl; its weight, an answer, its signature under the blocks, its TLS proxy, its logs.

Runs where podman, podman-compose and the base images are (`tests/deploy/local_bases.py` makes these); skips with the reason
elsewhere.
"""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.devnet.plan import MODEL
from tests.conftest import tails
from tests.deploy.caddy import SERVER_NAME, Proxy, make_certificate
from tests.deploy.compose import DEPLOY, exports
from tests.deploy.genesis_host import GenesisHost, genesis_host
from tests.deploy.images import IMAGES, build_image
from tests.deploy.local_bases import why_no_containers
from tests.deploy.podman import environment, podman
from tests.e2e.network import Network, get, has_signed, until

JOIN, INFERENCE = DEPLOY / "join", DEPLOY / "inference"
GUIDE = DEPLOY.parent / "docs" / "hosts" / "ml-nodes.md"
NETWORK = "pivot_default"
SUBNET, ADDRESS = "10.89.77.0/24", "10.89.77.1"
"""The network of the containers; this machine has the first address in it."""
ML_MANAGEMENT_PORT, ML_INFERENCE_PORT = 8001, 5050
"""8000 and 5000 are the network node's here, on the same machine."""
API_URL = f"http://{ADDRESS}:8000"
RPC_URL = "http://127.0.0.1:26657"
ADMIN_URL = "http://127.0.0.1:9200"
TLS_PORT = 8443
ACCOUNT = 10_001
"""User id in all images; it must be able to read the proxy's key."""
NETWORK_NODE = ("docker-compose.yml", "docker-compose.proxy.yml")
WITHOUT_GPU = f"""\
services:
  inference:
    image: {IMAGES["mlnode-cpu"]}
    deploy: !reset null
"""
"""Put over docker-compose.yml, so that its ML node starts on this machine."""
ON_ANOTHER_SERVER = {
    "id": "node1",
    "host": ADDRESS,
    "inference_port": ML_INFERENCE_PORT,
    "poc_port": ML_MANAGEMENT_PORT,
}
BESIDE_THE_API_NODE = {
    "id": "node2",
    "host": "inference",
    "inference_port": 5000,
    "poc_port": 8080,
    "max_concurrent": 4,
    "models": {MODEL: {"args": []}},
}
"""A service of the compose file, by its name, as NODE_CONFIG names it."""
JOIN_SECONDS = 180
WEIGHT_SECONDS = 400

REASON = why_no_containers()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]


def compose(folder: Path, *arguments: str, **variables: str) -> str:
    """podman-compose in a folder, with the variables of a sourced config.env."""
    answer = subprocess.run(
        ["podman-compose", *arguments],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 0, f"{arguments}: {answer.stdout}\n{answer.stderr}"
    return answer.stdout + answer.stderr


@asynccontextmanager
async def up(folder: Path, files: Sequence[str], **variables: str) -> AsyncIterator[None]:
    """All services of compose files; the services' volumes go with them."""
    named = [word for file in files for word in ("-f", file)]
    try:
        compose(folder, *named, "up", "-d", **variables)
        yield
    finally:
        compose(folder, *named, "down", "-v", **variables)


def config_env(seed: GenesisHost, certificates: Path, nodes: Path) -> dict[str, str]:
    """The template, filled in as several-machines.md and the quickstart's section on TLS say."""
    return {
        **exports(JOIN / "config.env.template"),
        "KEY_NAME": "joined",
        "PUBLIC_URL": API_URL,
        "P2P_EXTERNAL_ADDRESS": f"tcp://{ADDRESS}:5000",
        "SEED_API_URL": seed.api_url,
        "SEED_NODE_RPC_URL": seed.rpc_url,
        "SEED_NODE_P2P_URL": seed.p2p_url,
        "GENESIS_SHA256": seed.genesis_sha256,
        "NODE_CONFIG": str(nodes),
        "HF_HOME": str(certificates),  # any folder that is there: the tiny model is in the image
        "CALLBACK_ADDRESS": ADDRESS,
        "DAPI_API__POC_CALLBACK_URL": f"http://{ADDRESS}:9100",
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
        "SERVER_NAME": SERVER_NAME,
        "API_SSL_PORT": str(TLS_PORT),
        "SSL_CERT_SOURCE": str(certificates),
    }


def registration(node: Mapping[str, Any]) -> str:
    """The guide's own curl line, filled in."""
    [command] = re.findall(
        r"```bash\n(curl -X POST http://localhost:9200/admin/v1/nodes \\.*?)```", GUIDE.read_text(), re.DOTALL
    )
    filled = {
        "<unique_id>": node["id"],
        "<your_inference_node_static_ip>": node["host"],
        "<inference_port>": str(node["inference_port"]),
        "<poc_port>": str(node["poc_port"]),
        "<max_concurrent>": "4",
        "<model_name>": MODEL,
        "<model_args>": "",
    }
    for name, value in filled.items():
        command = command.replace(name, value)
    return str(command)


async def test_a_host_of_containers_joins_earns_weight_and_answers(tmp_path: Path) -> None:
    for target in IMAGES:
        await asyncio.to_thread(build_image, target)
    if podman("network", "exists", NETWORK, check=False).returncode:
        podman("network", "create", f"--subnet={SUBNET}", NETWORK)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
        genesis_host(tmp_path, ADDRESS) as seed,
    ):
        certificate = make_certificate(tmp_path / "tls")
        for file in certificate.parent.iterdir():
            os.chown(file, ACCOUNT, ACCOUNT)
        nodes = tmp_path / "node-config.json"
        nodes.write_text(json.dumps([BESIDE_THE_API_NODE]))
        variables = config_env(seed, certificate.parent, nodes)
        without_gpu = tmp_path / "without-gpu.yml"
        without_gpu.write_text(WITHOUT_GPU)
        files = [*NETWORK_NODE, str(without_gpu)]
        async with up(JOIN, files, **variables):
            try:
                await joins(http, seed)
                await earns_weight_and_answers(http, seed, Proxy(TLS_PORT, certificate))
                tells_what_it_does(variables)
            except BaseException:
                print(tails(tmp_path), compose(JOIN, "-f", "docker-compose.yml", "logs", "--tail", "40", **variables))  # noqa: T201
                raise


async def joins(http: aiohttp.ClientSession, seed: GenesisHost) -> None:
    """The chain node follows the chain, tmkms holds its key, and the API node has registered the host."""

    async def registered() -> bool:
        try:
            status = (await get(http, f"{RPC_URL}/status"))["result"]
            listed = (await get(http, f"{API_URL}/v1/participants"))["participants"]
        except (aiohttp.ClientError, AssertionError, TimeoutError):
            return False
        return not status["sync_info"]["catching_up"] and any(each["url"] == API_URL for each in listed)

    await until(registered, JOIN_SECONDS)
    chain_id = (await get(http, f"{RPC_URL}/status"))["result"]["node_info"]["network"]
    assert chain_id == seed.plan.chain_id
    assert "priv_validator_key.json" not in podman("exec", "pivot_node_1", "ls", "engine/config").stdout
    assert "consensus.key" in podman("exec", "pivot_tmkms_1", "ls", "secrets").stdout
    for name in ("tmkms", "node", "api"):
        assert podman("exec", f"pivot_{name}_1", "id", "-u").stdout.strip() == "10001"
        assert podman("exec", f"pivot_{name}_1", "touch", "/opt/pivot/x", check=False).returncode != 0


async def registers(node: Mapping[str, Any]) -> None:
    """The API node takes an ML node, once it has started."""

    async def taken() -> bool:
        command = ["bash", "-c", registration(node)]
        told = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        return node.items() <= json.loads(told.stdout or "{}").items()

    await until(taken, JOIN_SECONDS)


async def earns_weight_and_answers(http: aiohttp.ClientSession, seed: GenesisHost, proxy: Proxy) -> None:
    """An ML node that is registered by the guide's curl line earns weight; the host signs blocks and answers."""
    ml = {
        "PRIVATE_ADDRESS": ADDRESS,
        "PORT": str(ML_MANAGEMENT_PORT),
        "INFERENCE_PORT": str(ML_INFERENCE_PORT),
    }
    async with up(INFERENCE, ["docker-compose.cpu.yml"], **ml):
        await registers(ON_ANOTHER_SERVER)
        own = (await get(http, f"{API_URL}/v1/identity"))["data"]["address"]

        async def weight() -> bool:
            async with http.get(f"{API_URL}/v1/epochs/current/participants") as told:
                if told.status != 200:
                    return False  # before the first proof of compute is over
                document = await told.json()
            members = {each["index"]: int(each["weight"]) for each in document["active_participants"]["participants"]}
            return members.get(own, 0) > 0 and len(members) == 2

        await until(weight, WEIGHT_SECONDS)
        validator = (await get(http, f"{RPC_URL}/status"))["result"]["validator_info"]["address"]
        await until(lambda: has_signed(http, seed.rpc_url, validator), WEIGHT_SECONDS)
        for name in ("pivot_tmkms", "pivot_node", "pivot_api", "pivot_inference", "pivot-inference_inference"):
            podman("healthcheck", "run", f"{name}_1")
        working = {each["node"]["id"]: each["state"]["failure_reason"] for each in await listed(http)}
        assert working == {"node1": "", "node2": ""}
        network = Network(
            seed.logs.parent,
            {
                "developer": {"address": seed.plan.developer_address, "private_key_hex": seed.plan.developer_key},
                "hosts": [{"address": own, "public_url": API_URL}],
                "model": MODEL,
            },
        )
        body = network.chat_body()
        answer = await network.post(http, 0, body, network.signed_headers(body, own))
        assert answer.status == 200, answer.raw
        assert answer.json["choices"][0]["message"]["content"]
        record = await network.record(http, 0, answer.json["id"])
        assert record["transferred_by"] == own
        await answers_over_tls(
            replace(network, contract=network.contract | {"hosts": [{"public_url": proxy.url}]}), proxy, own
        )


async def listed(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """The ML nodes of the host, as the Admin API lists them."""
    async with http.get(f"{ADMIN_URL}/admin/v1/nodes") as told:
        nodes: list[dict[str, Any]] = await told.json()
        return nodes


async def answers_over_tls(network: Network, proxy: Proxy, own: str) -> None:
    """The proxy's certificate is believed, and a stream comes through it."""
    async with proxy.session() as http:
        assert own in await network.members(http)
        body = network.chat_body(stream=True)
        stream = await network.post(http, 0, body, network.signed_headers(body, own))
        assert (stream.status, stream.content_type.partition(";")[0]) == (200, "text/event-stream"), stream.raw
        assert stream.events


def tells_what_it_does(variables: dict[str, str]) -> None:
    """`docker compose logs node` has the lines of its processes; no file of them fills the volume."""
    told = compose(JOIN, "-f", "docker-compose.yml", "logs", "node", **variables)
    for line in ("engine | ", "committed state", "application | ", "gateway | "):
        assert line in told, told[-2_000:]
    assert "logs" not in podman("exec", "pivot_node_1", "ls").stdout.split()
