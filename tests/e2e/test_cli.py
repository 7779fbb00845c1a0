"""The command line on a real network: keys, transactions, permissions, an account of two; and a network begun by a ceremony."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from pivot.node.genesis import genesis_sha256
from tests.conftest import pivot, tails
from tests.e2e.network import Network, get
from tests.e2e.terminal import Host, Person, balance, hold_ceremony, until_all_are_at

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
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


@pytest.fixture
def developer(network: Network, tmp_path: Path) -> Person:
    person = Person(tmp_path, network.hosts[0]["rpc_url"])
    person.json("keys", "import-hex", "developer", stdin=network.contract["developer"]["private_key_hex"])
    return person


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
    expected = hold_ceremony(tmp_path, CHAIN_ID, hosts, 1_000_000)
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
        found = Person(tmp_path).json("genesis", "validate", "next.json")
        for host in hosts:
            host.move(tmp_path / "next" / host.folder.name)
        with running(hosts, tmp_path / "next.json", found["sha256"]):
            await until_all_are_at(session, hosts, int(found["initial_height"]) + 2)
            assert balance(hosts[1], "host") == 1_000_000


@contextlib.contextmanager
def running(hosts: list[Host], genesis: Path, sha256: str) -> Iterator[None]:
    """The hosts' nodes, installed from a genesis document."""
    with contextlib.ExitStack() as nodes:
        for host in hosts:
            assert host.install(genesis) == sha256
            nodes.enter_context(host.running())
        yield
