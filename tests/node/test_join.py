"""Joining a network, with a chain node in this process and the real engine's judgement of the settings."""

import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pivot.node import disk
from pivot.node.engine import find_engine
from pivot.node.engine_home import EngineHome
from pivot.node.errors import (
    ClockOff,
    DiskNearlyFull,
    HomeUnusable,
    NodeError,
    PortTaken,
    SeedRefused,
    SeedUnreachable,
    TwoConsensusKeys,
)
from pivot.node.genesis import block_pause, genesis_sha256
from pivot.node.join import Joined, join
from pivot.node.join_settings import JoinSettings
from tests.e2e.network import free_port
from tests.node.fake_chain_node import NODE_ID, FakeChainNode, chain_node

P2P_PORT = 26656


@pytest.fixture
async def seed() -> AsyncIterator[FakeChainNode]:
    async with chain_node() as node:
        yield node


def settings(home: Path, seed: FakeChainNode, **options: Any) -> JoinSettings:
    return JoinSettings.load(
        **{
            "home": home,
            "seed_rpc": seed.url,
            "seed_p2p": f"tcp://127.0.0.1:{P2P_PORT}",
            "p2p": f"127.0.0.1:{free_port()}",
            "rpc": f"127.0.0.1:{free_port()}",
            **options,
        }
    )


async def joined(home: Path, seed: FakeChainNode, environment: dict[str, str] | None = None, **options: Any) -> Joined:
    return await join(settings(home, seed, **options), find_engine(), environment or {})


def engine(home: Path) -> EngineHome:
    return EngineHome(home / "engine")


async def test_a_node_has_genesis_keys_and_settings_after_joining(tmp_path: Path, seed: FakeChainNode) -> None:
    home = tmp_path / "home"
    told = await joined(home, seed, moniker="host-1", external_address="tcp://203.0.113.5:5000", snapshot_interval=7)
    assert told.new
    assert told.chain_id == seed.chain_id
    assert told.genesis_sha256 == genesis_sha256(seed.genesis)
    assert json.loads(engine(home).genesis_file.read_text()) == seed.genesis
    assert len(engine(home).consensus_key()) == 32
    config = engine(home).config()
    assert config["p2p"]["persistent_peers"] == f"{NODE_ID}@127.0.0.1:{P2P_PORT}"
    assert config["p2p"]["external_address"] == "203.0.113.5:5000"
    assert config[""]["moniker"] == "host-1"
    assert config["consensus"]["timeout_commit"] == "200ms"
    assert "statesync" not in config
    assert json.loads((home / "node.json").read_text())["snapshot_interval"] == 7
    assert sorted(path.name for path in home.iterdir()) == ["engine", "node.json"]
    assert home.stat().st_mode & 0o077 == 0


async def test_joining_again_changes_settings_only(tmp_path: Path, seed: FakeChainNode) -> None:
    first = await joined(tmp_path, seed)
    kept = engine(tmp_path).genesis_file.read_bytes(), engine(tmp_path).consensus_key(), engine(tmp_path).node_id()
    seed.node_id = "cd" * 20
    again = await joined(tmp_path, seed, {"CONFIG_p2p__max_num_inbound_peers": "3"}, moniker="renamed")
    assert not again.new
    assert again.node_id == first.node_id
    assert kept == (
        engine(tmp_path).genesis_file.read_bytes(),
        engine(tmp_path).consensus_key(),
        engine(tmp_path).node_id(),
    )
    config = engine(tmp_path).config()
    assert config[""]["moniker"] == "renamed"
    assert config["p2p"]["persistent_peers"].startswith("cd" * 20)
    assert config["p2p"]["max_num_inbound_peers"] == 3


async def test_a_node_that_has_joined_starts_without_its_seed(tmp_path: Path) -> None:
    async with chain_node() as seed:
        await joined(tmp_path, seed)
    told: list[str] = []
    again = await join(settings(tmp_path, seed, moniker="later"), find_engine(), {}, told.append)
    assert again.peers == f"{NODE_ID}@127.0.0.1:{P2P_PORT}"
    assert engine(tmp_path).config()[""]["moniker"] == "later"
    assert "does not answer" in told[0]


async def test_a_large_genesis_is_fetched_in_chunks(tmp_path: Path, seed: FakeChainNode) -> None:
    seed.chunk_bytes = 1000
    await joined(tmp_path, seed)
    assert json.loads(engine(tmp_path).genesis_file.read_text()) == seed.genesis
    seed.chunk_bytes = 10
    with pytest.raises(SeedRefused, match="64 at most"):
        await joined(tmp_path / "other", seed)


async def test_with_a_signer_no_consensus_key_is_made(tmp_path: Path, seed: FakeChainNode) -> None:
    port = free_port()
    told = await joined(tmp_path, seed, signer_port=port)
    assert told.signer == f"127.0.0.1:{port}"
    assert engine(tmp_path).config()[""]["priv_validator_laddr"] == f"tcp://127.0.0.1:{port}"
    assert not engine(tmp_path).consensus_key_file.exists()
    with pytest.raises(HomeUnusable, match=r"^TMKMS_PORT"):
        await joined(tmp_path, seed)


async def test_a_signer_beside_a_key_is_refused(tmp_path: Path, seed: FakeChainNode) -> None:
    await joined(tmp_path, seed)
    with pytest.raises(TwoConsensusKeys):
        await joined(tmp_path, seed, signer_port=free_port())


async def test_a_snapshot_is_trusted_from_a_header_that_two_servers_agree_on(
    tmp_path: Path, seed: FakeChainNode
) -> None:
    async with chain_node() as other:
        other.chain_id = seed.chain_id
        other.height = 4900
        sync = {"state_sync": True, "rpc_server_1": seed.url, "rpc_server_2": other.url, "trusted_block_period": 100}
        assert (await joined(tmp_path / "a", seed, **sync)).state_sync
        section = engine(tmp_path / "a").config()["statesync"]
        assert section["enable"] is True
        assert section["rpc_servers"] == f"{seed.url},{other.url}"
        assert (section["trust_height"], section["trust_hash"]) == (4800, "CC" * 32)
        other.hashes[4800] = "DD" * 32
        with pytest.raises(SeedRefused, match="RPC_SERVER_URL_1 and RPC_SERVER_URL_2 disagree on block 4800"):
            await joined(tmp_path / "b", seed, **sync)
        other.chain_id = "elsewhere"
        with pytest.raises(SeedRefused, match=r"^RPC_SERVER_URL_2: .* 'elsewhere'"):
            await joined(tmp_path / "b", seed, **sync)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (lambda seed: setattr(seed, "chain_id", "other-1"), SeedRefused, "^SEED_NODE_RPC_URL: .* 'other-1'$"),
        (lambda seed: seed.genesis.pop("app_state"), SeedRefused, "^SEED_NODE_RPC_URL: the application does not take"),
        (
            lambda seed: seed.genesis["app_state"]["bank"]["balances"].pop(),
            SeedRefused,
            "^SEED_NODE_RPC_URL: the application does not take .* add up",
        ),
        (lambda seed: setattr(seed, "genesis", "text"), SeedUnreachable, "^SEED_NODE_RPC_URL: .* is no chain node"),
        (lambda seed: setattr(seed, "node_id", "x"), SeedUnreachable, "^SEED_NODE_RPC_URL: .* is no chain node"),
        (
            lambda seed: setattr(seed, "url", seed.url + "/wrong"),
            SeedUnreachable,
            "^SEED_NODE_RPC_URL: .* no chain node",
        ),
        (lambda seed: setattr(seed, "url", "http://127.0.0.1:1"), SeedUnreachable, "^SEED_NODE_RPC_URL: .* not answer"),
    ],
    ids=["chain id", "no state", "faulty state", "no genesis", "no id", "no RPC", "unreachable"],
)
async def test_a_seed_that_cannot_be_joined_leaves_no_home_behind(
    spoil: Any, error: type[NodeError], sentence: str, tmp_path: Path, seed: FakeChainNode
) -> None:
    spoil(seed)
    with pytest.raises(error, match=sentence):
        await joined(tmp_path / "home", seed)
    assert not (tmp_path / "home").exists()


async def test_another_genesis_than_the_one_asked_for_is_refused(tmp_path: Path, seed: FakeChainNode) -> None:
    with pytest.raises(SeedRefused, match=r"^GENESIS_SHA256: .*, not 00"):
        await joined(tmp_path / "home", seed, genesis_sha256="00" * 32)
    assert not (tmp_path / "home").exists()
    await joined(tmp_path / "home", seed, genesis_sha256=genesis_sha256(seed.genesis).upper())


async def test_a_node_of_one_chain_does_not_become_one_of_another(tmp_path: Path, seed: FakeChainNode) -> None:
    await joined(tmp_path, seed)
    before = engine(tmp_path).config_file.read_text()
    async with chain_node() as other:
        with pytest.raises(SeedRefused, match=other.chain_id):
            await joined(tmp_path, other)
    assert engine(tmp_path).config_file.read_text() == before


@pytest.mark.parametrize(("ahead_s", "told"), [(180, "behind"), (-180, "ahead of")])
async def test_a_clock_that_is_off_by_minutes_is_refused_and_a_node_that_has_joined_is_warned(
    ahead_s: int, told: str, tmp_path: Path, seed: FakeChainNode
) -> None:
    sentence = rf"SEED_NODE_RPC_URL: this machine's clock is 1[78]\d s {told} that of {seed.url}: set it by NTP"
    seed.clock_ahead_s = ahead_s
    with pytest.raises(ClockOff, match=f"^{sentence}"):
        await joined(tmp_path / "home", seed)
    assert not (tmp_path / "home").exists()
    seed.clock_ahead_s = 5
    await joined(tmp_path / "home", seed)
    seed.clock_ahead_s = ahead_s
    said: list[str] = []
    await join(settings(tmp_path / "home", seed), find_engine(), {}, said.append)
    assert re.match(sentence, said[0])


async def test_a_disk_that_is_nearly_full_is_refused(
    tmp_path: Path, seed: FakeChainNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: disk.LEAST_FREE_BYTES - 1)
    with pytest.raises(DiskNearlyFull, match=r"^PIVOT_HOME \(--home\): .*99 MiB free"):
        await joined(tmp_path / "home", seed)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("option", ["p2p", "rpc"])
async def test_a_taken_port_is_named(option: str, tmp_path: Path, seed: FakeChainNode) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PortTaken, match=rf"^CONFIG_{option}__laddr \(--{option}\): .*{address}"):
            await joined(tmp_path / "home", seed, **{option: address})
    assert not (tmp_path / "home").exists()


async def test_settings_that_the_engine_refuses_are_told_in_its_words(tmp_path: Path, seed: FakeChainNode) -> None:
    with pytest.raises(HomeUnusable, match=r"CONFIG_section__key.*timeout_commit.*invalid duration"):
        await joined(tmp_path / "home", seed, {"CONFIG_consensus__timeout_commit": "soon"})
    assert not (tmp_path / "home").exists()


async def test_half_a_home_is_not_written_over(tmp_path: Path, seed: FakeChainNode) -> None:
    engine(tmp_path).make_keys()
    key = engine(tmp_path).consensus_key()
    with pytest.raises(HomeUnusable, match="move it away"):
        await joined(tmp_path, seed)
    assert engine(tmp_path).consensus_key() == key


def test_a_networks_blocks_come_at_the_pace_of_the_preset_with_its_epochs(seed: FakeChainNode) -> None:
    assert block_pause(seed.genesis) == "200ms"
    seed.genesis["app_state"]["inference"]["params"]["epoch_params"]["epoch_length"] = "777"
    assert block_pause(seed.genesis) == "4500ms"
