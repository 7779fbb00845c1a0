"""Settings: a file, overridden by the environment, under the published names."""

import os
from pathlib import Path

import pytest

from pivot.api.settings import ApiSettings, InvalidSettings

PLAIN_NAMES = {
    "API_CONFIG_PATH",
    "NODE_CONFIG_PATH",
    "DATABASE_URL",
    "KEY_NAME",
    "PIVOT_HOME",
    "PUBLIC_URL",
    "SEED_API_URL",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DAPI_") or name in PLAIN_NAMES:
            monkeypatch.delenv(name)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "api-config.yaml"
    monkeypatch.setenv("API_CONFIG_PATH", str(path))
    return path


def test_a_item6_without_anything_the_ports_are_the_published_ones_and_only_the_public_one_is_open() -> None:
    api = ApiSettings.load().api
    assert (api.public_server_port, api.ml_server_port, api.admin_server_port) == (9000, 9100, 9200)
    assert (api.public_server_host, api.ml_server_host, api.admin_server_host) == ("0.0.0.0", "127.0.0.1", "127.0.0.1")


def test_the_environment_reaches_every_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "DAPI_HOME": str(tmp_path),
        "DAPI_API__PUBLIC_URL": "https://host.example:8000/",
        "DAPI_API__ADMIN_SERVER_PORT": "9201",
        "DAPI_API__POC_CALLBACK_URL": "http://api:9100",
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
        "DAPI_CHAIN_NODE__URL": "http://node:26657",
        "DAPI_CHAIN_NODE__GRPC_URL": "node:9090",
        "DAPI_CHAIN_NODE__SEED_API_URL": "http://seed:8000",
        "DAPI_CHAIN_NODE__P2P_URL": "http://node:26656",
        "NODE_CONFIG_PATH": str(tmp_path / "node-config.json"),
        "DATABASE_URL": "sqlite+aiosqlite://",
    }.items():
        monkeypatch.setenv(name, value)
    settings = ApiSettings.load()
    assert settings.home == tmp_path
    assert settings.api.public_url == "https://host.example:8000"
    assert settings.api.admin_server_port == 9201
    assert settings.api.poc_callback_url == "http://api:9100"
    assert settings.api.allow_private_urls
    assert settings.chain_node.url == "http://node:26657"
    assert settings.chain_node.grpc_url == "node:9090"
    assert settings.chain_node.seed_api_url == "http://seed:8000"
    assert settings.node_config_path == tmp_path / "node-config.json"
    assert settings.database_url == "sqlite+aiosqlite://"


@pytest.mark.parametrize("name", ["DATABASE_URL", "DAPI_DATABASE_URL"])
def test_the_database_has_a_name_with_and_without_the_prefix(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "postgresql://host/name")
    assert ApiSettings.load().database_url == "postgresql://host/name"


def test_an_empty_database_url_is_none_even_if_the_file_has_one(
    monkeypatch: pytest.MonkeyPatch, configured: Path
) -> None:
    configured.write_text("database_url: postgresql://host/name\n")
    assert ApiSettings.load().database_url == "postgresql://host/name"
    monkeypatch.setenv("DATABASE_URL", "")
    assert ApiSettings.load().database_url == ""


def test_the_environment_wins_over_the_file_field_by_field(monkeypatch: pytest.MonkeyPatch, configured: Path) -> None:
    configured.write_text(
        "api:\n  public_url: http://file:1\n  admin_server_port: 1\nchain_node: {rest_url: 'http://file:2'}\n"
    )
    monkeypatch.setenv("DAPI_API__PUBLIC_URL", "http://environment:1")
    settings = ApiSettings.load()
    assert settings.api.public_url == "http://environment:1"
    assert settings.api.admin_server_port == 1
    assert settings.chain_node.rest_url == "http://file:2"


def test_the_short_names_of_config_env_are_read_and_the_long_ones_win(
    monkeypatch: pytest.MonkeyPatch, configured: Path
) -> None:
    configured.write_text("api: {public_url: 'http://file:1'}\nchain_node: {seed_api_url: 'http://file:2'}\n")
    monkeypatch.setenv("PUBLIC_URL", "http://short:1")
    monkeypatch.setenv("SEED_API_URL", "http://short:2")
    settings = ApiSettings.load()
    assert (settings.api.public_url, settings.chain_node.seed_api_url) == ("http://short:1", "http://short:2")
    monkeypatch.setenv("DAPI_API__PUBLIC_URL", "http://long:1")
    monkeypatch.setenv("SEED_API_URL", "")
    settings = ApiSettings.load()
    assert (settings.api.public_url, settings.chain_node.seed_api_url) == ("http://long:1", "http://file:2")


def test_the_home_lies_in_that_of_the_network_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ApiSettings.load().home == Path.home() / ".pivot" / "api"
    monkeypatch.setenv("PIVOT_HOME", str(tmp_path))
    assert ApiSettings.load().home == tmp_path / "api"


def test_the_account_key_has_the_name_that_the_host_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ApiSettings.load().key_name == "account"
    monkeypatch.setenv("KEY_NAME", "")
    assert ApiSettings.load().key_name == "account"
    monkeypatch.setenv("KEY_NAME", "host-1")
    assert ApiSettings.load().key_name == "host-1"


def test_an_empty_variable_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_CONFIG_PATH", "")
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("DAPI_CHAIN_NODE__SEED_API_URL", "")
    settings = ApiSettings.load()
    assert (settings.node_config_path, settings.database_url, settings.chain_node.seed_api_url) == (None, "", "")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DAPI_API__PUBLIC_URL", "host:8000", r"DAPI_API__PUBLIC_URL .*\(api.public_url\): .*not an http"),
        ("DAPI_API__PUBLIC_URL", "http://", "not an http"),
        ("DAPI_CHAIN_NODE__SEED_API_URL", "ftp://x", r"chain_node.seed_api_url"),
        ("DAPI_API__ADMIN_SERVER_PORT", "70000", r"DAPI_API__ADMIN_SERVER_PORT"),
        ("DAPI_API__ADMIN_SERVER_PORT", "many", r"valid integer"),
        ("DAPI_API__MAX_REQUEST_BYTES", "0", r"api.max_request_bytes"),
        ("DAPI_API", "{", r"api"),
        ("PUBLIC_URL", "host:8000", r"DAPI_API__PUBLIC_URL or PUBLIC_URL \(api.public_url\): "),
        ("KEY_NAME", "../other", r"^KEY_NAME \(key_name\): "),
        ("KEY_NAME", "gateway", r"^KEY_NAME \(key_name\): .*gateway"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=sentence):
        ApiSettings.load()


@pytest.mark.parametrize("text", ["api: [", "- a list\n"])
def test_a_damaged_file_is_refused(configured: Path, text: str) -> None:
    configured.write_text(text)
    with pytest.raises(InvalidSettings):
        ApiSettings.load()


def test_a_file_that_is_not_there_is_refused(configured: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"API_CONFIG_PATH names .*api-config\.yaml, which is no file"):
        ApiSettings.load()
