"""The signer's folder: one consensus key, one owner."""

import base64
import json
import tomllib
from pathlib import Path

import pytest

from pivot.node.engine_home import EngineHome
from pivot.node.errors import SignerRefused
from pivot.node.signer_home import SignerHome


@pytest.fixture
def engine(tmp_path: Path) -> EngineHome:
    home = EngineHome(tmp_path / "engine")
    home.make_keys()
    return home


def test_the_engines_key_moves_to_the_signer_with_what_it_signed_last(
    tmp_path: Path, tmkms: Path, engine: EngineHome
) -> None:
    last = {"height": "41", "round": 1, "step": 3, "signature": "x"}
    (engine.path / "data" / "priv_validator_state.json").write_text(json.dumps(last))
    key = engine.consensus_key()
    signer = SignerHome(tmp_path / "signer")
    assert not signer.has_key()
    signer.take_key(tmkms, engine)
    assert signer.consensus_key() == key
    assert not engine.consensus_key_file.exists()
    assert signer.retired_key_file.exists()
    state = json.loads(signer.state_file.read_text())
    assert (state["height"], state["round"], state["step"]) == ("41", "1", 2)
    assert signer.path.stat().st_mode & 0o077 == 0
    signer.take_key(tmkms, engine)  # a second time there is nothing to take
    assert signer.consensus_key() == key


def test_an_import_that_was_cut_short_is_finished(tmp_path: Path, tmkms: Path, engine: EngineHome) -> None:
    signer = SignerHome(tmp_path / "signer")
    kept = engine.consensus_key_file.read_text()
    signer.take_key(tmkms, engine)
    engine.consensus_key_file.write_text(kept)
    signer.take_key(tmkms, engine)
    assert not engine.consensus_key_file.exists()


def test_another_engines_key_is_refused_and_left_where_it_is(tmp_path: Path, tmkms: Path, engine: EngineHome) -> None:
    signer = SignerHome(tmp_path / "signer")
    signer.make_keys(tmkms)
    with pytest.raises(SignerRefused, match="another key"):
        signer.take_key(tmkms, engine)
    assert engine.consensus_key_file.exists()


def test_keys_are_made_once(tmp_path: Path, tmkms: Path) -> None:
    signer = SignerHome(tmp_path / "signer")
    signer.make_keys(tmkms)
    keys = [file.read_text() for file in (signer.consensus_key_file, signer.connection_key_file)]
    assert len({base64.b64decode(key) for key in keys}) == 2
    signer.make_keys(tmkms)
    assert [file.read_text() for file in (signer.consensus_key_file, signer.connection_key_file)] == keys


def test_what_tmkms_says_is_told(tmp_path: Path) -> None:
    refusing = tmp_path / "tmkms"
    refusing.write_text("#!/bin/sh\necho no entropy >&2; exit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(SignerRefused, match=r"softsign keygen .* failed: no entropy"):
        SignerHome(tmp_path / "signer").make_keys(refusing)


def test_the_configuration_names_the_chain_and_the_engine(tmp_path: Path) -> None:
    signer = SignerHome(tmp_path)
    signer.write_config("pivot-1", "127.0.0.1:26658")
    config = tomllib.loads(signer.config_file.read_text())
    assert config["chain"][0]["id"] == config["validator"][0]["chain_id"] == "pivot-1"
    assert config["validator"][0]["addr"] == "tcp://127.0.0.1:26658"
    assert config["providers"]["softsign"][0]["path"] == str(signer.consensus_key_file)
