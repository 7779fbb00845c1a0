"""A second host that joins a running network from nothing, over the interfaces that hosts have."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from tests.e2e.network import Network, free_port, get

START_TIMEOUT_SECONDS = 60


def seed(network: Network) -> dict[str, str]:
    """What a host is told of the network that it joins, as in `config.env`."""
    plan = json.loads((network.home / "plan.json").read_text())["hosts"][0]
    return {
        "SEED_NODE_RPC_URL": network.hosts[0]["rpc_url"],
        "SEED_NODE_P2P_URL": f"tcp://127.0.0.1:{plan['p2p_port']}",
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


async def same_state(network: Network, newcomer: Newcomer, session: aiohttp.ClientSession) -> None:
    """Both nodes have the same app hash at the last height that both have."""
    urls = [network.hosts[0]["rpc_url"], f"http://{newcomer.rpc}"]
    heights = [int((await get(session, f"{url}/status"))["result"]["sync_info"]["latest_block_height"]) for url in urls]
    headers = [await get(session, f"{url}/commit?height={min(heights)}") for url in urls]
    hashes = {each["result"]["signed_header"]["header"]["app_hash"] for each in headers}
    assert len(hashes) == 1
