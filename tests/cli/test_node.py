"""`pivot node …`: what keeps a node from being set up or run is one sentence that names the setting, and nothing is half done."""

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.cli import main, node
from pivot.node import disk
from pivot.node.exclusive import holding
from pivot.node.network_node import lock_file
from pivot.node.supervisor import ProcessSpec
from tests.cli.conftest import Pivot
from tests.e2e.network import free_port
from tests.node.fake_chain_node import FakeChainNode, chain_node


@pytest.fixture
async def seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakeChainNode]:
    """A seed, and what a host is told of it."""
    async with chain_node() as node:
        monkeypatch.setenv("PIVOT_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("SEED_NODE_RPC_URL", node.url)
        monkeypatch.setenv("SEED_NODE_P2P_URL", "tcp://127.0.0.1:26656")
        for name in ("p2p", "rpc"):
            monkeypatch.setenv(f"CONFIG_{name}__laddr", f"tcp://127.0.0.1:{free_port()}")
        yield node


async def refused(pivot: Pivot, *arguments: str, code: int = 1) -> str:
    told = await pivot("node", *arguments)
    assert (told.code, told.out) == (code, ""), told.err
    [sentence] = told.err.splitlines()
    return sentence


async def test_a_clock_that_is_off_by_minutes_leaves_no_home(pivot: Pivot, seed: FakeChainNode, tmp_path: Path) -> None:
    seed.clock_ahead_s = 300
    sentence = await refused(pivot, "join")
    assert sentence.startswith("SEED_NODE_RPC_URL: this machine's clock is ")
    assert f" s behind that of {seed.url}: set it by NTP (timedatectl set-ntp true)" in sentence
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("GENESIS_SHA256", "00" * 32, 1),
        ("GENESIS_SHA256", "short", 2),
        ("SEED_NODE_RPC_URL", "http://127.0.0.1:1", 1),
        ("SEED_NODE_RPC_URL", "", 2),
        ("SEED_NODE_P2P_URL", "127.0.0.1", 2),
        ("KEY_NAME", "a b", 2),
        ("TMKMS_PORT", "high", 2),
    ],
)
async def test_a_value_that_is_missing_malformed_or_wrong_leaves_no_home(
    variable: str,
    value: str,
    code: int,
    pivot: Pivot,
    seed: FakeChainNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    assert (await refused(pivot, "join", code=code)).startswith(variable)
    assert not (tmp_path / "home").exists()


async def test_another_chain_a_full_disk_and_a_taken_port_leave_no_home(
    pivot: Pivot, seed: FakeChainNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain_id, seed.chain_id = seed.chain_id, "other-1"
    assert (await refused(pivot, "join")).startswith("SEED_NODE_RPC_URL: the genesis document is of chain ")
    seed.chain_id = chain_id
    with socket.create_server(("127.0.0.1", 0)) as taken, monkeypatch.context() as patch:
        patch.setenv("CONFIG_p2p__laddr", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        assert (await refused(pivot, "join")).startswith("CONFIG_p2p__laddr (--p2p): ")
    with monkeypatch.context() as patch:
        patch.setattr(disk, "LEAST_FREE_BYTES", 2**80)
        assert (await refused(pivot, "join")).startswith("PIVOT_HOME (--home): the disk of ")
    assert not (tmp_path / "home").exists()


async def test_a_node_that_runs_is_not_run_twice_and_one_on_a_full_disk_not_at_all(
    pivot: Pivot, seed: FakeChainNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await pivot("node", "join")).code == 0
    run = ("run", "--grpc", f"127.0.0.1:{free_port()}", "--rest", f"127.0.0.1:{free_port()}")
    with holding(lock_file(tmp_path / "home")):
        assert "already; a second one is refused" in await refused(pivot, *run)
    monkeypatch.setattr(disk, "LEAST_FREE_BYTES", 2**80)
    assert (await refused(pivot, *run)).startswith("PIVOT_HOME (--home): the disk of ")


def test_a_node_whose_chain_waits_for_another_version_ends_with_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Started again and again it would only stop again and again."""
    (tmp_path / "engine/config").mkdir(parents=True)
    (tmp_path / "engine/config/genesis.json").write_text("{}")
    (tmp_path / "chain/data").mkdir(parents=True)
    (tmp_path / "chain/data/halt.txt").write_text("UPGRADE\n")
    application = ProcessSpec("application", [sys.executable, "-c", "raise SystemExit(3)"], None)
    monkeypatch.setattr(node, "find_engine", lambda _: Path("cometbft"))
    monkeypatch.setattr(node, "require_free_ports", lambda _: None)
    monkeypatch.setattr(node, "node_groups", lambda _: [[application]])
    run = ["pivot", "node", "run", "--home", str(tmp_path), "--rpc", f"http://127.0.0.1:{free_port()}"]
    monkeypatch.setattr(sys, "argv", run)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert capsys.readouterr().err.splitlines()[-1] == "UPGRADE"
