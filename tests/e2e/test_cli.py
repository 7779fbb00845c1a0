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


async def test_a_network_of_two_hosts_begins_with_a_ceremony(tmp_path: Path) -> None:
    (tmp_path / "gentxs").mkdir()
    hosts = [Person(tmp_path / name) for name in ("alice", "bob")]
    coordinator = Person(tmp_path)
    coordinator.json("genesis", "init", CHAIN_ID, "--preset", "test")
    ports = [[f"127.0.0.1:{free_port()}" for _ in range(4)] for _ in hosts]
    for host, (p2p, *_) in zip(hosts, ports, strict=True):
        host.folder.mkdir()
        address = host.json("keys", "add", "host")["address"]
        coordinator.json("genesis", "add-account", address, "1_000_000ngonka")
        url = f"http://{address}.example:9000"
        signed = host.json("genesis", "gentx", "host", "--chain-id", CHAIN_ID, "--url", url, "--p2p", p2p)
        (tmp_path / "gentxs" / f"gentx-{address}.json").write_text(json.dumps(signed))
    coordinator.json("genesis", "collect")
    expected = coordinator.json("genesis", "validate")["sha256"]

    with contextlib.ExitStack() as running:
        for host, (p2p, rpc, grpc, rest) in zip(hosts, ports, strict=True):
            files = ("../genesis.json", "--gentx-dir", "../gentxs")
            installed = host.json("genesis", "install", *files, "--moniker", "host", "--p2p", p2p, "--rpc", rpc)
            assert installed["sha256"] == expected
            running.enter_context(node(host, "--grpc", grpc, "--rest", rest))
        async with aiohttp.ClientSession() as session:

            async def both_are_at_block_3() -> bool:
                heights = [await height(session, rpc) for _, rpc, *_ in ports]
                return min(heights) >= 3

            await until(both_are_at_block_3)
            told = await get(session, f"http://{ports[1][1]}/genesis")
            assert genesis_sha256(told["result"]["genesis"]) == expected
            block = (await get(session, f"http://{ports[0][1]}/block?height=3"))["result"]["block"]
            signed_by = [each for each in block["last_commit"]["signatures"] if each["signature"]]
            assert len(signed_by) == 2
        hosts[0].environment["PIVOT_NODE"] = f"tcp://{ports[0][1]}"
        assert balance(hosts[0], "host") == 1_000_000
        listed = hosts[0].json("query", "inference", "participant-all")
        assert len(listed["participant"]) == 2


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
