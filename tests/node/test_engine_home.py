"""The engine's folder as CometBFT itself reads it."""

import subprocess
import tomllib
from pathlib import Path

from pivot.node.engine import find_engine
from pivot.node.engine_home import EngineHome, engine_config


def test_keys_are_made_once_and_named_as_the_engine_names_them(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    home.make_keys()
    first = home.consensus_key()
    home.make_keys()
    assert home.consensus_key() == first
    home.write_config({}, {})
    shown = subprocess.run(
        [find_engine(), "show-node-id", "--home", tmp_path], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == home.node_id()


def test_the_published_environment_variables_change_any_setting(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    config = engine_config(
        moniker="a",
        abci_socket=tmp_path / "socket",
        rpc="127.0.0.1:1",
        p2p="127.0.0.1:2",
        timeout_commit="1s",
        peers=[],
        on_one_machine=True,
    )
    home.write_config(
        config,
        {"CONFIG_p2p__handshake_timeout": "30s", "CONFIG_moniker": "b", "CONFIG_p2p__pex": "true", "OTHER": "x"},
    )
    written = tomllib.loads(home.config_file.read_text())
    assert written["moniker"] == "b"
    assert written["p2p"]["handshake_timeout"] == "30s"
    assert written["p2p"]["pex"] is True


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    EngineHome(tmp_path).make_keys()
    assert (tmp_path / "config" / "priv_validator_key.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "config" / "node_key.json").stat().st_mode & 0o077 == 0
