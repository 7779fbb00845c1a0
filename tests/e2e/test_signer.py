"""Blocks signed by an unmodified tmkms: restarting either side loses nothing, a second signer is refused."""

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.node.signer import find_signer, installed_signer
from pivot.node.signer_home import SignerHome
from tests.conftest import pivot, tails
from tests.e2e.network import Network, free_port, get, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        installed_signer() is None and shutil.which("cargo") is None,
        reason="neither tmkms 0.15.0 nor cargo, which could build it, is on this machine",
    ),
]
MORE_BLOCKS = 10


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A host without ML nodes whose consensus key only tmkms has."""
    find_signer()
    home = tmp_path_factory.mktemp("signed")
    up = pivot(
        *("devnet", "up", "--home", str(home), "--signer", "tmkms"),
        *("--ml-nodes", "0", "--preset", "test", "--detach", "--json"),
    )
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


def process(network: Network, name: str) -> int | None:
    [pid] = [each["pid"] for each in network.processes() if each["name"] == name]
    return int(pid) if pid else None


async def height(network: Network, session: aiohttp.ClientSession) -> int:
    status = await get(session, f"{network.hosts[0]['rpc_url']}/status")
    return int(status["result"]["sync_info"]["latest_block_height"])


async def makes_blocks(network: Network, session: aiohttp.ClientSession, beyond: int) -> None:
    async def grown() -> bool:
        try:
            return await height(network, session) > beyond
        except aiohttp.ClientError:
            return False  # the engine is not up again yet

    await until(grown)


def signer_home(network: Network) -> SignerHome:
    return SignerHome(Path(network.hosts[0]["home"]) / "signer")


def signed_last(network: Network) -> int:
    return int(json.loads(signer_home(network).state_file.read_text())["height"])


async def test_blocks_are_signed_with_a_key_that_the_engine_does_not_have(
    signed: Network, session: aiohttp.ClientSession
) -> None:
    await makes_blocks(signed, session, 2)
    status = await get(session, f"{signed.hosts[0]['rpc_url']}/status")
    told = status["result"]["validator_info"]
    assert base64.b64decode(told["pub_key"]["value"]) == signer_home(signed).consensus_key()
    assert int(told["voting_power"]) > 0
    assert not (Path(signed.hosts[0]["home"]) / "engine" / "config" / "priv_validator_key.json").exists()
    assert signed_last(signed) >= 2


@pytest.mark.parametrize("name", ["signer", "engine"])
async def test_a_killed_side_comes_back_and_the_chain_goes_on(
    name: str, signed: Network, session: aiohttp.ClientSession
) -> None:
    before, last, pid = await height(signed, session), signed_last(signed), process(signed, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await makes_blocks(signed, session, before + MORE_BLOCKS)
    assert process(signed, name) not in {pid, None}
    assert signed_last(signed) > last


async def test_the_chain_waits_for_its_signer_and_signs_no_height_twice(
    signed: Network, session: aiohttp.ClientSession
) -> None:
    pid = process(signed, "signer")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(1)
        frozen = await height(signed, session)
        await asyncio.sleep(2)
        assert await height(signed, session) <= frozen + 1
    finally:
        os.kill(pid, signal.SIGCONT)
    await makes_blocks(signed, session, frozen + MORE_BLOCKS)


async def test_a_second_signer_over_the_same_folder_is_refused(signed: Network, session: aiohttp.ClientSession) -> None:
    first = process(signed, "signer")
    second = await asyncio.create_subprocess_exec(*signer_home(signed).command(find_signer()), stderr=PIPE)
    _, told = await asyncio.wait_for(second.communicate(), 30)
    assert second.returncode == 1
    assert f"process {first} runs" in told.decode()
    assert process(signed, "signer") == first
    await makes_blocks(signed, session, await height(signed, session))


def test_an_engine_that_finds_a_key_of_its_own_does_not_start(signed: Network, tmp_path: Path) -> None:
    shutil.copytree(Path(signed.hosts[0]["home"]) / "engine" / "config", tmp_path / "engine" / "config")
    shutil.copy(signer_home(signed).retired_key_file, tmp_path / "engine" / "config" / "priv_validator_key.json")
    run = pivot("node", "run", "--home", str(tmp_path))
    assert run.returncode == 1
    assert "the signer, which alone may hold it" in run.stderr
    assert "Traceback" not in run.stderr


async def test_a_node_that_joins_with_a_signer_never_has_a_consensus_key(
    signed: Network, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    plan = json.loads((signed.home / "plan.json").read_text())["hosts"][0]
    home, signer, port = tmp_path / "home", SignerHome(tmp_path / "home" / "signer"), str(free_port())
    seed = ("--seed-rpc", signed.hosts[0]["rpc_url"])
    listens = ("--p2p", f"127.0.0.1:{free_port()}", "--rpc", f"127.0.0.1:{free_port()}")
    joined = await asyncio.to_thread(
        pivot,
        *("node", "join", "--home", str(home), *seed, "--seed-p2p", f"tcp://127.0.0.1:{plan['p2p_port']}"),
        *("--signer-port", port, *listens),
    )
    assert joined.returncode == 0, joined.stderr
    queries = ("--grpc", f"127.0.0.1:{free_port()}", "--rest", f"127.0.0.1:{free_port()}")
    commands = [
        ("node", "run", "--home", str(home), *queries),
        ("node", "signer", "--home", str(signer.path), *seed, "--node", f"127.0.0.1:{port}"),
    ]
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-m", "pivot.cli", *each) for each in commands]
    try:

        async def caught_up() -> dict[str, Any] | None:
            told = await asyncio.to_thread(pivot, "node", "status", "--home", str(home), "--json")
            status: dict[str, Any] = json.loads(told.stdout) if told.returncode == 0 else {}
            return status if status.get("height", 0) > 1 and not status["catching_up"] else None

        status = await until(caught_up)
        assert base64.b64decode(status["consensus_key"]) == signer.consensus_key()
        assert not (home / "engine" / "config" / "priv_validator_key.json").exists()
    finally:
        for each in processes:
            each.terminate()
            await each.wait()
