"""A second host joins a running network: from nothing, over the interfaces that hosts have, until it signs blocks."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import pivot, tails
from tests.e2e.network import Network, free_port, get, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
P2P_KEY = "p2p_port"
START_TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One host with one ML node, epochs of 120 blocks."""
    home = tmp_path_factory.mktemp("network")
    up = pivot("devnet", "up", "--home", str(home), "--preset", "test", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


def seed(network: Network) -> dict[str, str]:
    """What a host is told of the network that it joins, as in `config.env`."""
    plan = json.loads((network.home / "plan.json").read_text())["hosts"][0]
    return {
        "SEED_NODE_RPC_URL": network.hosts[0]["rpc_url"],
        "SEED_NODE_P2P_URL": f"tcp://127.0.0.1:{plan[P2P_KEY]}",
        "SEED_API_URL": network.hosts[0]["public_url"],
    }


class Newcomer:
    """A second host's network node: three processes of its own, on its own ports."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.home = folder / "home"
        self.logs = folder / "logs"
        self.rpc, self.p2p, self.grpc, self.rest = (f"127.0.0.1:{free_port()}" for _ in range(4))
        self.public, self.callback, self.admin = (free_port() for _ in range(3))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DAPI_", "CONFIG_"))},
            **seed(network),
            "PIVOT_HOME": str(self.home),
            "KEY_NAME": "newcomer",
            "CONFIG_rpc__laddr": f"tcp://{self.rpc}",
            "CONFIG_p2p__laddr": f"tcp://{self.p2p}",
            "PUBLIC_URL": self.public_url,
            "DAPI_API__PUBLIC_SERVER_HOST": "127.0.0.1",
            "DAPI_API__PUBLIC_SERVER_PORT": str(self.public),
            "DAPI_API__ML_SERVER_PORT": str(self.callback),
            "DAPI_API__POC_CALLBACK_URL": f"http://127.0.0.1:{self.callback}",
            "DAPI_API__ADMIN_SERVER_PORT": str(self.admin),
            "DAPI_API__ALLOW_PRIVATE_URLS": "true",
            "DAPI_CHAIN_NODE__URL": f"http://{self.rpc}",
            "DAPI_CHAIN_NODE__GRPC_URL": self.grpc,
            "DAPI_CHAIN_NODE__REST_URL": f"http://{self.rest}",
        }

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.public}"

    @property
    def nodes_url(self) -> str:
        return f"http://127.0.0.1:{self.admin}/admin/v1/nodes"

    def pivot(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command as this host's operator would run it."""
        return subprocess.run(
            [sys.executable, "-m", "pivot.cli", *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_SECONDS,
            check=False,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """`pivot node run` and `pivot api run`, until the block ends."""
        self.logs.mkdir()
        commands = {"node": ["node", "run", "--grpc", self.grpc, "--rest", self.rest], "api": ["api", "run"]}
        with contextlib.ExitStack() as stack:
            for name, command in commands.items():
                log = stack.enter_context((self.logs / f"{name}.log").open("wb"))
                process = subprocess.Popen(
                    [sys.executable, "-m", "pivot.cli", *command], env=self.environment, stdout=log, stderr=log
                )
                stack.callback(process.wait, START_TIMEOUT_SECONDS)
                stack.callback(process.send_signal, signal.SIGTERM)
            yield


@pytest.fixture(scope="module")
def newcomer(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(network, tmp_path_factory.mktemp("newcomer"))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.mark.parametrize(
    ("variables", "named", "code"),
    [
        ({"SEED_NODE_RPC_URL": "http://127.0.0.1:1"}, "SEED_NODE_RPC_URL", 1),
        ({"SEED_NODE_RPC_URL": "127.0.0.1:26657"}, "SEED_NODE_RPC_URL", 2),
        ({"SEED_NODE_P2P_URL": "tcp://127.0.0.1"}, "SEED_NODE_P2P_URL", 2),
        ({"SEED_NODE_P2P_URL": ""}, "SEED_NODE_P2P_URL", 2),
        ({"P2P_EXTERNAL_ADDRESS": "tcp://host:port"}, "P2P_EXTERNAL_ADDRESS", 2),
        ({"GENESIS_SHA256": "00" * 32}, "GENESIS_SHA256", 1),
        ({"TRUSTED_BLOCK_PERIOD": "long"}, "TRUSTED_BLOCK_PERIOD", 2),
        ({"SYNC_WITH_SNAPSHOTS": "true"}, "RPC_SERVER_URL_1", 2),
        ({"CONFIG_consensus__timeout_commit": "soon"}, "CONFIG_section__key", 1),
        ({"KEY_NAME": "a b"}, "KEY_NAME", 2),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it_and_leaves_no_home(
    variables: dict[str, str], named: str, code: int, newcomer: Newcomer
) -> None:
    told = newcomer.pivot("node", "join", **variables)
    assert told.returncode == code
    assert told.stdout == ""
    [sentence] = told.stderr.splitlines()
    assert named in sentence
    assert not newcomer.home.exists()


def test_a_taken_port_is_named_and_leaves_no_home(newcomer: Newcomer) -> None:
    host, _, port = newcomer.p2p.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        told = newcomer.pivot("node", "join")
    assert told.returncode == 1
    assert told.stderr.startswith("CONFIG_p2p__laddr (--p2p): ")
    assert not newcomer.home.exists()


async def test_a_host_joins_without_gpu_and_earns_its_place_with_an_ml_node(
    network: Network, newcomer: Newcomer, session: aiohttp.ClientSession
) -> None:
    joined = await asyncio.to_thread(newcomer.pivot, "node", "join", "--json")
    assert joined.returncode == 0, joined.stderr
    told: dict[str, Any] = json.loads(joined.stdout)
    assert told["chain_id"] == network.contract["chain_id"]
    wrong = await asyncio.to_thread(newcomer.pivot, "node", "join", GENESIS_SHA256="11" * 32)
    assert wrong.returncode == 1
    with newcomer.running():
        try:
            await lives(network, newcomer, session, told)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"{error!r}\n{tails(newcomer.logs.parent)}\n{tails(newcomer.home)}")


async def lives(network: Network, newcomer: Newcomer, session: aiohttp.ClientSession, told: dict[str, Any]) -> None:
    """What becomes of the newcomer, in the order in which a host sees it."""
    status = await until(lambda: synced(newcomer))
    assert status["genesis_sha256"] == told["genesis_sha256"]
    assert status["moniker"] == "newcomer"
    assert status["voting_power"] == 0

    address = await until(lambda: registered(network, session, newcomer))
    epoch = await network.epoch(session)
    assert address not in await network.members(session)

    async def next_epoch() -> bool:
        return await network.epoch(session) > epoch

    await until(next_epoch)
    assert address not in await network.members(session), "a host without ML nodes is no participant of an epoch"

    async with network.extra_ml_node() as node:
        async with session.post(newcomer.nodes_url, json=node) as added:
            assert added.status == 200, await added.text()

        async def member() -> bool:
            return (await network.members(session)).get(address, 0) > 0

        await until(member)

        async def validator() -> bool:
            found = await get(session, f"{network.hosts[0]['rpc_url']}/validators")
            powers = {each["pub_key"]["value"]: int(each["voting_power"]) for each in found["result"]["validators"]}
            return powers.get(status["consensus_key"], 0) > 0

        await until(validator)
        await until(lambda: signs(network, session, status["consensus_key"]))
    await same_state(network, newcomer, session)


async def synced(newcomer: Newcomer) -> dict[str, Any] | None:
    """The newcomer's status, once it has caught up."""
    answer = await asyncio.to_thread(newcomer.pivot, "node", "status", "--json")
    if answer.returncode:
        return None
    status: dict[str, Any] = json.loads(answer.stdout)
    return status if not status["catching_up"] and status["height"] > 1 else None


async def registered(network: Network, session: aiohttp.ClientSession, newcomer: Newcomer) -> str | None:
    """The newcomer's address, once the seed's chain knows its URL."""
    document = await get(session, f"{network.hosts[0]['public_url']}/v1/participants")
    found = [each["id"] for each in document["participants"] if each["url"] == newcomer.public_url]
    return str(found[0]) if found else None


async def signs(network: Network, session: aiohttp.ClientSession, consensus_key: str) -> bool:
    """Whether the last complete commit holds a signature of this key."""
    rpc = network.hosts[0]["rpc_url"]
    validators = await get(session, f"{rpc}/validators")
    [address] = [
        each["address"] for each in validators["result"]["validators"] if each["pub_key"]["value"] == consensus_key
    ]
    height = int((await get(session, f"{rpc}/status"))["result"]["sync_info"]["latest_block_height"])
    commit = await get(
        session, f"{rpc}/commit?height={height - 1}"
    )  # the last one's signatures are still being gathered
    signatures = commit["result"]["signed_header"]["commit"]["signatures"]
    return any(each["validator_address"] == address and each["signature"] for each in signatures)


async def same_state(network: Network, newcomer: Newcomer, session: aiohttp.ClientSession) -> None:
    """Both nodes have the same app hash at the last height that both have."""
    urls = [network.hosts[0]["rpc_url"], f"http://{newcomer.rpc}"]
    heights = [int((await get(session, f"{url}/status"))["result"]["sync_info"]["latest_block_height"]) for url in urls]
    headers = [await get(session, f"{url}/commit?height={min(heights)}") for url in urls]
    hashes = {each["result"]["signed_header"]["header"]["app_hash"] for each in headers}
    assert len(hashes) == 1
