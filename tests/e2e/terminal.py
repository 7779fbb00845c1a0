"""People at terminals: with a keyring and a chain node, some with a network node of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.network import free_port, get, until

END_SECONDS = 60


class Person:
    """Somebody at a terminal, with a keyring and a chain node."""

    def __init__(self, folder: Path, node: str = "") -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAPI_", "CONFIG_"))}
        self.environment = {
            **kept,
            "PIVOT_KEYRING_BACKEND": "test",
            "PIVOT_HOME": str(folder / "home"),
            **({"PIVOT_NODE": node} if node else {}),
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pivot.cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )

    def json(self, *arguments: str, stdin: str = "") -> Any:
        told = self.run(*arguments, "--json", stdin=stdin)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    def file(self, name: str, *arguments: str) -> str:
        told = self.run(*arguments)
        assert told.returncode == 0, told.stderr
        (self.folder / name).write_text(told.stdout)
        return name


def balance(person: Person, account: str) -> int:
    return int(person.json("query", "bank", "balance", account)["balance"]["amount"])


class Host(Person):
    """A person with a network node."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / "node.log"
        self.p2p, self.rpc, self.grpc, self.rest = (f"127.0.0.1:{free_port()}" for _ in range(4))
        super().__init__(folder, f"tcp://{self.rpc}")

    def move(self, folder: Path) -> None:
        """Begin a new home with the keys of the old one."""
        new, old = folder / "home", Path(self.environment["PIVOT_HOME"])
        for kept in ("keyring-test", "engine/config/priv_validator_key.json", "engine/config/node_key.json"):
            (new / kept).parent.mkdir(parents=True, exist_ok=True)
            (old / kept).rename(new / kept)
        self.environment["PIVOT_HOME"] = str(new)

    def install(self, genesis: Path) -> str:
        """Make the home of a node out of the ceremony's document. Returns the document's SHA-256."""
        gentxs = ("--gentx-dir", str(genesis.parent / "gentxs"))
        where = ("--moniker", "host", "--p2p", self.p2p, "--rpc", self.rpc)
        return str(self.json("genesis", "install", str(genesis), *gentxs, *where)["sha256"])

    @contextlib.contextmanager
    def running(self, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """`pivot node run`, until the block ends. What it tells goes to `log`."""
        command = [sys.executable, "-m", "pivot.cli", "node", "run", "--grpc", self.grpc, "--rest", self.rest]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=self.environment | variables, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(END_SECONDS)

    async def height(self, session: aiohttp.ClientSession) -> int:
        """Of the engine's last block; 0 while it does not answer."""
        try:
            told = await get(session, f"http://{self.rpc}/status")
        except aiohttp.ClientError:
            return 0
        return int(told["result"]["sync_info"]["latest_block_height"])


def hold_ceremony(folder: Path, chain_id: str, hosts: Sequence[Host], coins: int) -> str:
    """The hosts agree on `genesis.json` in the folder, in which each has so many ngonka. Returns its SHA-256."""
    coordinator = Person(folder)
    coordinator.json("genesis", "init", chain_id, "--preset", "test")
    (folder / "gentxs").mkdir()
    for host in hosts:
        address = host.json("keys", "add", "host")["address"]
        coordinator.json("genesis", "add-account", address, f"{coins}ngonka")
        url = f"http://{address}.example:9000"
        signed = host.json("genesis", "gentx", "host", "--chain-id", chain_id, "--url", url, "--p2p", host.p2p)
        (folder / "gentxs" / f"gentx-{address}.json").write_text(json.dumps(signed))
    coordinator.json("genesis", "collect")
    return str(coordinator.json("genesis", "validate")["sha256"])


async def until_all_are_at(session: aiohttp.ClientSession, hosts: Sequence[Host], wanted: int) -> None:
    """Wait until the engines of all hosts have the block of this height."""

    async def reached() -> bool:
        return min([await host.height(session) for host in hosts]) >= wanted

    await until(reached)
