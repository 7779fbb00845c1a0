"""The hosts of a real network agree on another version: every node halts before the plan's block, and the next version begins with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.devnet.genesis import HOST_COINS
from pivot.devnet.plan import load_plan
from pivot.node.addresses import parse_address
from pivot.primitives.addresses import of_module
from tests.e2e.network import get, until
from tests.e2e.terminal import Host, Person, balance, hold_ceremony, until_all_are_at

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CHAIN_ID = "pivot-upgrade-1"
COINS = 1_000_000_000
DEPOSIT = 25_000_000
NAME = "v2"
INFO = '{"binaries": {"any": "https://example.com/v2"}}'
BLOCKS_TO_VOTE = 220
PAID = 1_000
EXIT_UPGRADE = 3
STILL_SECONDS = 5.0
NEXT_VERSION = """
import sys

if "pivot.chain" in sys.orig_argv:
    from pivot.chain.modules.bank.state import COMMUNITY_POOL, send
    from pivot.chain.modules.upgrade.plans import UPGRADES

    UPGRADES["{name}"] = lambda block: send(block, COMMUNITY_POOL, "{to}", {amount})
"""
"""A module that the interpreter loads first: with it, the application knows the plan, whose change is a payment."""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def hosts(tmp_path: Path) -> list[Host]:
    """Two hosts of equal power, which have agreed on a genesis."""
    made = [Host(tmp_path / name) for name in ("alice", "bob")]
    expected = hold_ceremony(tmp_path, CHAIN_ID, made, COINS)
    for host in made:
        assert host.install(tmp_path / "genesis.json") == expected
    return made


async def test_a_network_halts_goes_on_with_the_next_version_and_is_joined_as_before(
    hosts: list[Host], session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    alice, bob = hosts
    with alice.running() as first, bob.running() as second:
        await until_all_are_at(session, hosts, 2)
        height = await agree(hosts)
        codes = await asyncio.gather(*(ended(each) for each in (first, second)))
    sentence = halt(height)
    assert codes == [EXIT_UPGRADE, EXIT_UPGRADE]
    for host in hosts:
        assert last_line(host) == sentence
        assert not any(listens(place) for place in (host.p2p, host.rpc, host.grpc, host.rest))
        info = json.loads((Path(host.environment["PIVOT_HOME"]) / "chain/data/upgrade-info.json").read_text())
        assert (info["name"], info["height"], info["info"]) == (NAME, height, INFO)

    status = bob.run("node", "status")
    assert (status.returncode, status.stderr) == (1, f"{sentence}\n")
    with bob.running() as again:
        assert await ended(again) == EXIT_UPGRADE
    assert last_line(bob) == sentence
    assert begun_at(bob)[-1] == height - 1, "the old version has made no block"

    version = next_version(tmp_path / "next", alice)
    with alice.running(**version, SNAPSHOT_INTERVAL="20"):
        await stands_still(alice, session, height)
        with bob.running() as late:
            assert await ended(late) == EXIT_UPGRADE
        assert last_line(bob) == sentence
        with bob.running(**version):
            await until_all_are_at(session, hosts, height + 3)
            assert begun_at(alice)[-1] == begun_at(bob)[-1] == height - 1
            assert alice.json("query", "upgrade", "current-plan")["plan"] is None
            assert alice.json("query", "upgrade", "applied-plan", NAME)["height"] == str(height)
            assert balance(bob, address(alice)) == COINS + PAID
            assert await app_hash(session, alice, height + 1) == await app_hash(session, bob, height + 1)
            assert await app_hash(session, alice, height + 1) != await app_hash(session, alice, height)
        with bob.running(**version):
            await until_all_are_at(session, hosts, height + 6)
            assert balance(bob, address(alice)) == COINS + PAID, "the change has happened once"
            await joins_from_the_first_block(alice, tmp_path / "carol", version, sentence, height, session)
            await joins_with_a_snapshot(alice, tmp_path / "dave", version, height, session)


async def test_a_devnet_halts_and_goes_on_with_the_next_version(tmp_path: Path) -> None:
    home = tmp_path / "network"
    up = ("devnet", "up", "--home", str(home), "--preset", "test", "--ml-nodes", "0")
    log = tmp_path / "devnet.log"
    with in_front(up, log) as first:

        async def contract() -> Any:
            assert first.poll() is None, log.read_text()
            return json.loads(path.read_text()) if (path := home / "devnet.json").exists() else None

        network = await until(contract)
        host = Person(tmp_path, network["hosts"][0]["rpc_url"])
        host.json("keys", "import-hex", "host", stdin=load_plan(home).hosts[0].account_key)
        height = await agree([host])
        assert await ended(first) == EXIT_UPGRADE
    sentence = halt(height)
    assert log.read_text().splitlines()[-1] == sentence
    status = host.run("devnet", "status", "--home", str(home))
    assert (status.returncode, status.stderr) == (1, f"no network is up in {home}: {sentence}\n")
    old = host.run(*up, "--detach")
    assert (old.returncode, old.stderr) == (EXIT_UPGRADE, f"{sentence}\n")
    host.environment |= next_version(tmp_path / "next", host)
    host.json(*up, "--detach")
    try:
        assert host.json("query", "upgrade", "applied-plan", NAME)["height"] == str(height)
        assert balance(host, "host") == HOST_COINS + PAID
    finally:
        host.json("devnet", "down", "--home", str(home))


@contextlib.contextmanager
def in_front(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on until the block ends; what it tells goes to the log."""
    with log.open("wb") as told:
        process = subprocess.Popen([sys.executable, "-m", "pivot.cli", *command], stdout=told, stderr=told)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def halt(height: int) -> str:
    """What every process of the old version says before the block of this height."""
    return f'UPGRADE "{NAME}" NEEDED at height {height}: {INFO}'


async def agree(hosts: Sequence[Person]) -> int:
    """Propose the upgrade, vote for it, and hear of it. Returns its height."""
    first, last = hosts[0], hosts[-1]
    assert first.json("query", "upgrade", "current-plan")["plan"] is None
    height = int(first.json("query", "status")["sync_info"]["latest_block_height"]) + BLOCKS_TO_VOTE
    plan = {"name": NAME, "height": str(height), "info": INFO}
    message = {
        "@type": "/cosmos.upgrade.v1beta1.MsgSoftwareUpgrade",
        "authority": of_module("gov"),
        "plan": plan,
    }
    document = {"title": "v2", "summary": "Faster.", "deposit": f"{DEPOSIT}ngonka", "messages": [message]}
    (first.folder / "proposal.json").write_text(json.dumps(document))
    first.json("tx", "gov", "submit-proposal", "proposal.json", "--from", "host", "--yes")
    for host in hosts:
        host.json("tx", "gov", "vote", "1", "yes", "--from", "host", "--yes")
    assert last.json("query", "upgrade", "current-plan")["plan"] is None, "it is voted on still"

    async def scheduled() -> Any:
        return last.json("query", "upgrade", "current-plan")["plan"]

    told = await until(scheduled)
    assert (told["name"], told["height"], told["info"]) == (NAME, str(height), INFO)
    assert last.json("query", "gov", "proposal", "1")["proposal"]["status"] == "PROPOSAL_STATUS_PASSED"
    assert last.json("query", "upgrade", "applied-plan", NAME)["height"] == "0"
    return height


async def joins_from_the_first_block(
    seed: Host, folder: Path, version: dict[str, str], sentence: str, height: int, session: aiohttp.ClientSession
) -> None:
    """A node that makes all blocks again makes those before the upgrade with the old version, and the others with the next."""
    carol = Host(folder)
    join(carol, seed)
    with carol.running(**version) as early:
        assert await ended(early) == EXIT_UPGRADE
    assert last_line(carol).startswith(f'UPGRADE "{NAME}" is due at height {height}: run the version before it')
    with carol.running() as old:
        assert await ended(old) == EXIT_UPGRADE
    assert last_line(carol) == sentence
    with carol.running(**version):
        await until_all_are_at(session, [carol], height + 2)
        assert begun_at(carol)[-1] == height - 1
        assert await app_hash(session, carol, height + 2) == await app_hash(session, seed, height + 2)


async def joins_with_a_snapshot(
    seed: Host, folder: Path, version: dict[str, str], height: int, session: aiohttp.ClientSession
) -> None:
    """A node that begins with a snapshot from after the upgrade needs the next version alone; the old one refuses that state."""
    dave = Host(folder)
    rpc = f"http://{seed.rpc}"
    join(dave, seed, "--state-sync", "--rpc-server-1", rpc, "--rpc-server-2", rpc, "--trusted-block-period", "5")
    with dave.running(**version):
        await until_all_are_at(session, [dave], height + 20)
        told = (await get(session, f"http://{dave.rpc}/status"))["result"]["sync_info"]
        assert int(told["earliest_block_height"]) > height
    with dave.running() as old:
        assert await ended(old) == EXIT_UPGRADE
    assert last_line(dave).startswith(f'UPGRADE "{NAME}" has been applied to this state: ')


def next_version(folder: Path, paid: Person) -> dict[str, str]:
    """What makes the processes of a node those of a version that knows the upgrade."""
    folder.mkdir()
    text = NEXT_VERSION.format(name=NAME, to=address(paid), amount=PAID)
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def join(host: Host, seed: Host, *options: str) -> None:
    where = ("--seed-rpc", f"http://{seed.rpc}", "--seed-p2p", f"tcp://{seed.p2p}")
    host.json("node", "join", *where, "--p2p", host.p2p, "--rpc", host.rpc, *options)


def address(host: Person) -> str:
    return str(host.json("keys", "show", "host")["address"])


async def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code, when the process ends by itself."""

    async def code() -> tuple[int] | None:
        return None if process.poll() is None else (process.returncode,)

    return (await until(code))[0]


async def stands_still(host: Host, session: aiohttp.ClientSession, height: int) -> None:
    """Alone, a host of two can finish the block that both have agreed on, and begin no other."""

    async def answers() -> bool:
        return await host.height(session) >= height - 1

    await until(answers)
    await asyncio.sleep(STILL_SECONDS)
    assert await host.height(session) <= height


async def app_hash(session: aiohttp.ClientSession, host: Host, height: int) -> str:
    """After the block before this one."""
    told = await get(session, f"http://{host.rpc}/commit?height={height}")
    return str(told["result"]["signed_header"]["header"]["app_hash"])


def last_line(host: Host) -> str:
    return host.log.read_text().splitlines()[-1]


def begun_at(host: Host) -> list[int]:
    """The heights of the state with which the application was started."""
    lines = [line.partition(" | ")[2] for line in host.log.read_text().splitlines() if line.startswith("application")]
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [each["height"] for each in told if each["event"] == "serving"]


def listens(place: str) -> bool:
    """Whether a process of a node still does, at host:port."""
    with socket.socket() as probe:
        return probe.connect_ex(parse_address(place)) == 0
