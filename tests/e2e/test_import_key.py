"""A host that signs by itself goes over to an unmodified tmkms, with its key and its place in the chain."""

import json
import shutil
from pathlib import Path

import pytest

from pivot.node.engine_home import EngineHome
from pivot.node.signer import find_signer, installed_signer
from pivot.node.signer_home import SignerHome
from tests.chain.server.engine import Node, free_port, wait_until
from tests.conftest import pivot
from tests.e2e.lone_node import command, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        installed_signer() is None and shutil.which("cargo") is None,
        reason="neither tmkms 0.15.0 nor cargo, which could build it, is on this machine",
    ),
]
BLOCKS = 5


def test_the_chain_goes_on_with_the_same_key_in_another_hand(tmp_path: Path) -> None:
    find_signer()
    node, signer = Node(tmp_path, {}, timeout_commit="100ms"), SignerHome(tmp_path / "signer")
    engine, port = EngineHome(tmp_path / "engine"), str(free_port())
    key = engine.consensus_key()
    move = ("node", "import-key", "--home", str(tmp_path), "--signer-port", port, "--json")
    with running(node, tmp_path / "node.log"):
        wait_until(lambda: node.height() > BLOCKS)
        refused = pivot(*move)
        assert refused.returncode == 1
        assert "already; a second one is refused" in refused.stderr
        assert engine.consensus_key_file.exists()
        last = node.height()

    moved = pivot(*move)
    assert moved.returncode == 0, moved.stderr
    assert signer.consensus_key() == key
    assert not engine.consensus_key_file.exists()
    assert signed_last(signer) >= last
    run_signer = ("node", "signer", "--home", str(signer.path), "--node", f"127.0.0.1:{port}")
    with command(tmp_path / "signer.log", *run_signer), running(node, tmp_path / "node.log"):
        wait_until(lambda: node.height() > last + BLOCKS)
        assert signed_last(signer) > last
    assert pivot(*move).returncode == 1


def signed_last(signer: SignerHome) -> int:
    return int(json.loads(signer.state_file.read_text())["height"])
