"""The command line on a real network: keys, transactions, permissions, an account of two; and a network begun by a ceremony."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.node.genesis import genesis_sha256
from tests.conftest import pivot, tails
from tests.e2e.network import Network, free_port, get, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
END_SECONDS = 60
CHAIN_ID = "pivot-ceremony-1"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One host without ML nodes."""
    home = tmp_path_factory.mktemp("network")
    up = pivot("devnet", "up", "--home", str(home), "--preset", "test", "--ml-nodes", "0", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


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


@pytest.fixture
def developer(network: Network, tmp_path: Path) -> Person:
    person = Person(tmp_path, network.hosts[0]["rpc_url"])
    person.json("keys", "import-hex", "developer", stdin=network.contract["developer"]["private_key_hex"])
    return person


def balance(person: Person, account: str) -> int:
    return int(person.json("query", "bank", "balance", account)["balance"]["amount"])


def test_coins_are_sent_first_on_trial_then_really(developer: Person) -> None:
    made = developer.json("keys", "add", "friend")
    assert len(made["mnemonic"].split()) == 24
    send = ("tx", "bank", "send", "developer", "friend", "1234ngonka")
    trial = developer.json(*send, "--dry-run")
    assert int(trial["gas_info"]["gas_used"]) > 0
    assert balance(developer, "friend") == 0
    sent = developer.json(*send, "--yes", "--note", "hello")
    assert balance(developer, "friend") == 1234
    found = developer.json("query", "tx", sent["txhash"])
    assert (found["height"], found["tx"]["body"]["memo"]) == (sent["height"], "hello")
    by_event = developer.json("query", "txs", "--query", f"transfer.recipient='{made['address']}'")
    assert [each["txhash"] for each in by_event["tx_responses"]] == [sent["txhash"]]
    block = developer.json("query", "block", sent["height"])
    assert len(block["sdk_block"]["data"]["txs"]) == 1
    refused = developer.run("tx", "bank", "send", "friend", "developer", "9999ngonka", "--yes", "--gas", "90000")
    assert (refused.returncode, "insufficient funds" in refused.stderr) == (1, True)


def test_a_permission_is_granted_and_used(developer: Person) -> None:
    developer.json("keys", "add", "agent")
    developer.json("tx", "bank", "send", "developer", "agent", "1ngonka", "--yes")
    kind = "/cosmos.bank.v1beta1.MsgSend"
    developer.json("tx", "authz", "grant", "agent", "generic", "--msg-type", kind, "--from", "developer", "--yes")
    inner = developer.file("inner.json", "tx", "bank", "send", "developer", "agent", "77ngonka", "--generate-only")
    developer.json("tx", "authz", "exec", inner, "--from", "agent", "--yes")
    assert balance(developer, "agent") == 78


def test_an_account_of_three_sends_when_two_have_signed(developer: Person) -> None:
    for name in ("one", "two", "three"):
        developer.json("keys", "add", name)
    developer.json("keys", "add", "board", "--multisig", "one,two,three", "--multisig-threshold", "2")
    developer.json("tx", "bank", "send", "developer", "board", "5000ngonka", "--yes")
    unsigned = developer.file("tx.json", "tx", "bank", "send", "board", "one", "4000ngonka", "--generate-only")
    parts = [
        developer.file(f"{name}.json", "tx", "sign", unsigned, "--from", name, "--multisig", "board")
        for name in ("three", "one")
    ]
    too_few = developer.run("tx", "multisign", unsigned, "board", parts[0])
    assert (too_few.returncode, "2 signatures are needed" in too_few.stderr) == (1, True)
    signed = developer.file("signed.json", "tx", "multisign", unsigned, "board", *parts)
    developer.json("tx", "broadcast", signed, "--yes")
    assert balance(developer, "one") == 4000
    assert balance(developer, "board") == 1000


async def test_a_network_of_two_hosts_begins_with_a_ceremony_and_goes_on_from_an_export(tmp_path: Path) -> None:
    hosts = [Host(tmp_path / name) for name in ("alice", "bob")]
    coordinator = Person(tmp_path)
    coordinator.json("genesis", "init", CHAIN_ID, "--preset", "test")
    for host in hosts:
        address = host.json("keys", "add", "host")["address"]
        coordinator.json("genesis", "add-account", address, "1_000_000ngonka")
        url = f"http://{address}.example:9000"
        signed = host.json("genesis", "gentx", "host", "--chain-id", CHAIN_ID, "--url", url, "--p2p", host.p2p)
        write(tmp_path / "gentxs" / f"gentx-{address}.json", json.dumps(signed))
    coordinator.json("genesis", "collect")
    expected = coordinator.json("genesis", "validate")["sha256"]
    async with aiohttp.ClientSession() as session:
        with running(hosts, tmp_path / "genesis.json", expected):
            await until_all_are_at(session, hosts, 3)
            told = await get(session, f"http://{hosts[1].rpc}/genesis")
            assert genesis_sha256(told["result"]["genesis"]) == expected
            block = (await get(session, f"http://{hosts[0].rpc}/block?height=3"))["result"]["block"]
            assert len([each for each in block["last_commit"]["signatures"] if each["signature"]]) == 2
            assert balance(hosts[0], "host") == 1_000_000
            assert len(hosts[0].json("query", "inference", "participant-all")["participant"]) == 2

        exported = hosts[0].run("genesis", "export", "--output-document", str(tmp_path / "next.json"))
        assert exported.returncode == 0, exported.stderr
        found = coordinator.json("genesis", "validate", "next.json")
        for host in hosts:
            host.move(tmp_path / "next" / host.folder.name)
        with running(hosts, tmp_path / "next.json", found["sha256"]):
            await until_all_are_at(session, hosts, int(found["initial_height"]) + 2)
            assert balance(hosts[1], "host") == 1_000_000


class Host(Person):
    """A person with a network node."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.p2p, self.rpc, self.grpc, self.rest = (f"127.0.0.1:{free_port()}" for _ in range(4))
        super().__init__(folder, f"tcp://{self.rpc}")

    def move(self, folder: Path) -> None:
        """Begin a new home with the keys of the old one."""
        new, old = folder / "home", Path(self.environment["PIVOT_HOME"])
        for kept in ("keyring-test", "engine/config/priv_validator_key.json", "engine/config/node_key.json"):
            (new / kept).parent.mkdir(parents=True, exist_ok=True)
            (old / kept).rename(new / kept)
        self.environment["PIVOT_HOME"] = str(new)


@contextlib.contextmanager
def running(hosts: list[Host], genesis: Path, sha256: str) -> Iterator[None]:
    """The hosts' nodes, installed from a genesis document."""
    with contextlib.ExitStack() as nodes:
        for host in hosts:
            gentxs = ("--gentx-dir", str(genesis.parent / "gentxs"))
            where = ("--moniker", "host", "--p2p", host.p2p, "--rpc", host.rpc)
            installed = host.json("genesis", "install", str(genesis), *gentxs, *where)
            assert installed["sha256"] == sha256
            nodes.enter_context(node(host, "--grpc", host.grpc, "--rest", host.rest))
        yield


async def until_all_are_at(session: aiohttp.ClientSession, hosts: list[Host], wanted: int) -> None:
    async def reached() -> bool:
        return min([await height(session, host.rpc) for host in hosts]) >= wanted

    await until(reached)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


async def height(session: aiohttp.ClientSession, rpc: str) -> int:
    try:
        return int((await get(session, f"http://{rpc}/status"))["result"]["sync_info"]["latest_block_height"])
    except aiohttp.ClientError:
        return 0


@contextlib.contextmanager
def node(host: Person, *arguments: str) -> Iterator[None]:
    """A host's engine, application and gateway."""
    with (host.folder / "node.log").open("wb") as log:
        command = [sys.executable, "-m", "pivot.cli", "node", "run", *arguments]
        process = subprocess.Popen(command, env=host.environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(END_SECONDS)
