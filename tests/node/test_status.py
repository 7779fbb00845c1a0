"""What `pivot node status` tells, and of whom."""

from pathlib import Path

import pytest

from pivot.chain.exits import HALT_FILE
from pivot.node.errors import HomeUnusable, SeedUnreachable, UpgradeDue
from pivot.node.genesis import genesis_sha256
from pivot.node.status import ask_status, engine_rpc
from tests.node.fake_chain_node import NODE_ID, chain_node


def home_of(folder: Path, rpc: str) -> Path:
    (folder / "engine" / "config").mkdir(parents=True)
    (folder / "engine" / "config" / "config.toml").write_text(f'[rpc]\nladdr = "{rpc}"\n')
    return folder


async def test_the_engine_is_asked_where_it_listens(tmp_path: Path) -> None:
    async with chain_node() as node:
        told = await ask_status(home_of(tmp_path, node.url.replace("http", "tcp")))
    assert told.chain_id == node.chain_id
    assert told.genesis_sha256 == genesis_sha256(node.genesis)
    assert (told.node_id, told.height, told.peers, told.voting_power) == (NODE_ID, 5000, 3, 10)
    assert not told.catching_up


async def test_a_node_that_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(SeedUnreachable, match=r"the engine's RPC: .* does not answer"):
        await ask_status(home_of(tmp_path, "tcp://127.0.0.1:1"))


async def test_a_node_that_waits_for_another_version_says_so(tmp_path: Path) -> None:
    halt = tmp_path / "chain" / HALT_FILE
    halt.parent.mkdir(parents=True)
    halt.write_text("UPGRADE\n")
    with pytest.raises(UpgradeDue, match=r"^UPGRADE$"):
        await ask_status(home_of(tmp_path, "tcp://127.0.0.1:1"))


def test_an_engine_that_listens_everywhere_is_asked_on_this_machine(tmp_path: Path) -> None:
    assert engine_rpc(home_of(tmp_path, "tcp://0.0.0.0:26657")) == "http://127.0.0.1:26657"


def test_a_folder_that_is_no_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="pivot node join"):
        engine_rpc(tmp_path)


async def test_what_is_no_chain_node_is_told(tmp_path: Path) -> None:
    async with chain_node() as node:
        node.genesis = None
        with pytest.raises(SeedUnreachable, match="no chain node"):
            await ask_status(home_of(tmp_path, node.url.replace("http", "tcp")))
