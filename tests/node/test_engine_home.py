"""The engine's folder as CometBFT itself reads it."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from pivot.node.engine import find_engine
from pivot.node.engine_home import Config, EngineHome, engine_config
from pivot.node.errors import TwoConsensusKeys
from pivot.node.network_node import NodeSettings, node_groups


def config(folder: Path, *, signer: str = "") -> Config:
    return engine_config(
        moniker="a",
        abci_socket=folder / "socket",
        rpc="127.0.0.1:1",
        p2p="127.0.0.1:2",
        timeout_commit="1s",
        peers=[],
        on_one_machine=True,
        signer=signer,
    )


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
    home.write_config(
        config(tmp_path),
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


def node_settings(home: Path) -> NodeSettings:
    return NodeSettings(home=home, engine=Path("cometbft"), rpc_url="http://127.0.0.1:1", grpc="a:2", rest="a:3")


def test_a_consensus_key_beside_a_signer_is_refused(tmp_path: Path) -> None:
    settings = node_settings(tmp_path)
    home = EngineHome(settings.engine_home)
    home.make_keys()
    home.write_config(config(tmp_path, signer="127.0.0.1:26658"), {})
    with pytest.raises(TwoConsensusKeys, match=r"priv_validator_key\.json exists although a signer is configured"):
        node_groups(settings)
    home.consensus_key_file.unlink()
    assert node_groups(settings)


def test_with_a_signer_no_consensus_key_is_made_and_the_engine_keeps_away_from_where_one_would_lie(
    tmp_path: Path,
) -> None:
    home = EngineHome(tmp_path)
    home.make_keys(with_consensus_key=False)
    assert not home.consensus_key_file.exists()
    home.write_config(config(tmp_path, signer="127.0.0.1:26658"), {})
    top = home.config()[""]
    assert top["priv_validator_laddr"] == "tcp://127.0.0.1:26658"
    assert tmp_path / top["priv_validator_key_file"] != home.consensus_key_file
    assert top["priv_validator_state_file"] != "data/priv_validator_state.json"
