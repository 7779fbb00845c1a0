"""A consensus key moves to the signer while its node rests, and can sign no height twice on the way."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from pivot.node.addresses import HostPort
from pivot.node.engine_home import EngineHome, engine_config
from pivot.node.errors import HomeUnusable, NodeError, PortTaken, SignerRefused
from pivot.node.exclusive import AlreadyRunning, holding
from pivot.node.key_move import move_key
from pivot.node.network_node import NodeSettings, lock_file, node_groups
from pivot.node.signer_home import SignerHome
from tests.e2e.network import free_port

LISTEN = HostPort("127.0.0.1", 26658)
LAST = {"height": "41", "round": 1, "step": 3, "signature": "x"}


@pytest.fixture
def engine(tmp_path: Path) -> EngineHome:
    """Of a node that has joined, and has signed."""
    engine = EngineHome(tmp_path / "engine")
    engine.make_keys()
    engine.genesis_file.write_text(json.dumps({"chain_id": "pivot-1"}))
    engine.write_config(
        engine_config(
            moniker="a",
            abci_socket=tmp_path / "socket",
            rpc=f"127.0.0.1:{free_port()}",
            p2p=f"127.0.0.1:{free_port()}",
            timeout_commit="1s",
            peers=[],
            on_one_machine=True,
        ),
        {},
    )
    (engine.path / "data" / "priv_validator_state.json").write_text(json.dumps(LAST))
    return engine


@pytest.fixture
def signer(tmp_path: Path) -> SignerHome:
    return SignerHome(tmp_path / "signer")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path != lock_file(folder)}


def state(signer: SignerHome) -> tuple[int, int, int]:
    told: dict[str, Any] = json.loads(signer.state_file.read_text())
    return int(told["height"]), int(told["round"]), int(told["step"])


def test_the_key_moves_and_the_engine_waits_for_the_signer(
    tmp_path: Path, tmkms: Path, engine: EngineHome, signer: SignerHome
) -> None:
    key = engine.consensus_key()
    assert move_key(tmp_path, signer, tmkms, HostPort("0.0.0.0", 26658)) == key
    assert not engine.consensus_key_file.exists()
    assert state(signer) == (41, 1, 2)
    assert signer.chain_id() == "pivot-1"
    assert 'addr = "tcp://127.0.0.1:26658"' in signer.config_file.read_text()
    assert engine.config()[""]["priv_validator_laddr"] == "tcp://0.0.0.0:26658"
    assert node_groups(NodeSettings(tmp_path, Path("cometbft"), "", "", ""))
    with pytest.raises(HomeUnusable, match="no key to move"):
        move_key(tmp_path, signer, tmkms, LISTEN)


def test_a_node_that_runs_keeps_its_key(tmp_path: Path, tmkms: Path, engine: EngineHome, signer: SignerHome) -> None:
    before = contents(tmp_path)
    with holding(lock_file(tmp_path)), pytest.raises(AlreadyRunning):
        move_key(tmp_path, signer, tmkms, LISTEN)
    host, _, port = engine.config()["rpc"]["laddr"].removeprefix("tcp://").partition(":")
    with socket.create_server((host, int(port))), pytest.raises(PortTaken, match="must not run"):
        move_key(tmp_path, signer, tmkms, LISTEN)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("spoil", ["another key", "another chain", "no genesis"])
def test_what_does_not_fit_is_refused_and_nothing_has_changed(
    spoil: str, tmp_path: Path, tmkms: Path, engine: EngineHome, signer: SignerHome
) -> None:
    error: type[NodeError] = SignerRefused
    if spoil == "another key":
        signer.make_keys(tmkms)
    elif spoil == "another chain":
        signer.write_config("other-1", "127.0.0.1:1")
    else:
        engine.genesis_file.unlink()
        error = HomeUnusable
    before = contents(tmp_path)
    with pytest.raises(error):
        move_key(tmp_path, signer, tmkms, LISTEN)
    assert contents(tmp_path) == before


def test_a_move_that_was_cut_short_lets_no_node_start_and_is_finished(
    tmp_path: Path, tmkms: Path, engine: EngineHome, signer: SignerHome
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SignerRefused):
        move_key(tmp_path, signer, broken, LISTEN)
    with pytest.raises(NodeError, match="import-key"):
        node_groups(NodeSettings(tmp_path, Path("cometbft"), "", "", ""))
    move_key(tmp_path, signer, tmkms, LISTEN)
    assert state(signer) == (41, 1, 2)


@pytest.mark.parametrize(("height", "kept"), [("40", 41), ("50", 50)])
def test_of_two_memories_of_what_was_signed_the_later_one_stays(
    height: str, kept: int, tmp_path: Path, tmkms: Path, engine: EngineHome, signer: SignerHome
) -> None:
    """A key that has come back to the engine after a first move, as from a backup, and has signed there."""
    own = engine.consensus_key_file.read_bytes()
    move_key(tmp_path, signer, tmkms, LISTEN)
    engine.consensus_key_file.write_bytes(own)
    signer.state_file.write_text(json.dumps({"height": height, "round": "0", "step": 2, "block_id": None}))
    move_key(tmp_path, signer, tmkms, LISTEN)
    assert state(signer)[0] == kept
