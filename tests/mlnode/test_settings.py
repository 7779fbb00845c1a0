from pathlib import Path

import pytest
from pydantic import ValidationError

from pivot.mlnode.settings import MlNodeSettings, is_loopback, is_public, sentences


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLNODE_HOST", "127.0.0.1")
    monkeypatch.setenv("MLNODE_MANAGEMENT_PORT", "18080")
    monkeypatch.setenv("MLNODE_INFERENCE_PORT", "15000")
    monkeypatch.setenv("MLNODE_MODELS_DIR", "/models")
    settings = MlNodeSettings()
    assert (settings.management_port, settings.inference_port) == (18080, 15000)
    assert settings.models_dir == Path("/models")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8"])
def test_a_public_address_needs_a_token(host: str) -> None:
    with pytest.raises(ValidationError, match="MLNODE_TOKEN"):
        MlNodeSettings(host=host)
    assert MlNodeSettings(host=host, token="s3cret").host == host
    assert MlNodeSettings(host=host, allow_open=True).host == host


def test_loopback_and_private_addresses_need_none() -> None:
    assert not any(map(is_public, ["127.0.0.1", "::1", "localhost", "10.1.2.3", "192.168.1.1"]))


def test_a_name_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no address of this machine"):
        MlNodeSettings(host="nowhere.invalid")


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 65535"):
        MlNodeSettings(management_port=70_000)


def test_lists_and_commands_are_written_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLNODE_CALLBACK_HOSTS", "network-node, 10.0.0.5,")
    monkeypatch.setenv("MLNODE_TRAIN_COMMAND", "torchrun --nproc-per-node 2 'my train.py'")
    settings = MlNodeSettings()
    assert settings.callback_hosts == ("network-node", "10.0.0.5")
    assert settings.train_command == ("torchrun", "--nproc-per-node", "2", "my train.py")
    monkeypatch.setenv("MLNODE_TRAIN_COMMAND", "train 'unclosed")
    with pytest.raises(ValidationError) as refusal:
        MlNodeSettings()
    assert sentences(refusal.value) == ["MLNODE_TRAIN_COMMAND: Value error, No closing quotation"]


def test_trainings_have_their_folder_where_the_node_keeps_its_state(tmp_path: Path) -> None:
    assert MlNodeSettings().trainings == Path.home() / ".pivot" / "training"
    assert MlNodeSettings(state_dir=tmp_path).trainings == tmp_path / "training"
    assert MlNodeSettings(state_dir=tmp_path, train_dir=tmp_path / "other").trainings == tmp_path / "other"


@pytest.mark.parametrize(
    ("fields", "guarded"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "10.1.2.3"}, False),
        ({"host": "10.1.2.3", "token": "s3cret"}, True),
        ({"host": "10.1.2.3", "allow_open": True}, True),
        ({"host": "0.0.0.0", "token": "s3cret"}, True),
    ],
)
def test_m_item29_beyond_its_own_machine_a_node_is_guarded_by_a_token_or_its_host(
    fields: dict[str, object], guarded: bool
) -> None:
    assert MlNodeSettings.model_validate(fields).guarded is guarded


def test_a_name_of_two_addresses_is_loopback_when_both_are() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert MlNodeSettings(host="0.0.0.0", token="s3cret").public
