"""Every setting can be given as a variable or as an option; what is wrong is named by both."""

from pathlib import Path

import pytest

from pivot.node.join_settings import InvalidJoinSettings, JoinSettings, default_home

SEED = {"SEED_NODE_RPC_URL": "http://seed:26657", "SEED_NODE_P2P_URL": "tcp://seed:5000"}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with a seed and nothing else that is a setting."""
    for field in JoinSettings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    for name, value in SEED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_seed_is_enough(host: pytest.MonkeyPatch) -> None:
    settings = JoinSettings.load()
    assert settings.seed_rpc == "http://seed:26657"
    assert str(settings.seed_p2p) == "seed:5000"
    assert settings.home == Path.home() / ".pivot" == default_home()
    assert settings.signer is None
    assert not settings.state_sync
    assert settings.moniker


def test_the_published_variables_are_read(host: pytest.MonkeyPatch) -> None:
    given = {
        "PIVOT_HOME": "/srv/pivot",
        "KEY_NAME": "host-1",
        "P2P_EXTERNAL_ADDRESS": "tcp://203.0.113.5:5000",
        "RPC_SERVER_URL_1": "https://a.example/chain-rpc/",
        "RPC_SERVER_URL_2": "http://b:26657",
        "SYNC_WITH_SNAPSHOTS": "true",
        "TRUSTED_BLOCK_PERIOD": "20",
        "SNAPSHOT_INTERVAL": "0",
        "SNAPSHOT_KEEP_RECENT": "2",
        "TMKMS_PORT": "26658",
        "GENESIS_SHA256": "AB" * 32,
        "CONFIG_rpc__laddr": "tcp://0.0.0.0:26657",
    }
    for name, value in given.items():
        host.setenv(name, value)
    settings = JoinSettings.load()
    assert settings.home == Path("/srv/pivot") == default_home()
    assert settings.moniker == "host-1"
    assert str(settings.external_address) == "203.0.113.5:5000"
    assert settings.rpc_server_1 == "https://a.example/chain-rpc"
    assert (settings.trusted_block_period, settings.snapshot_interval, settings.snapshot_keep_recent) == (20, 0, 2)
    assert str(settings.signer) == "127.0.0.1:26658"
    assert settings.genesis_sha256 == "ab" * 32
    assert str(settings.rpc) == "0.0.0.0:26657"


def test_options_win_and_an_empty_variable_is_not_set(host: pytest.MonkeyPatch) -> None:
    host.setenv("RPC_SERVER_URL_1", "")
    host.setenv("KEY_NAME", "")
    settings = JoinSettings.load(seed_rpc="http://other:1", p2p="127.0.0.1:7", moniker=None)
    assert settings.seed_rpc == "http://other:1"
    assert str(settings.p2p) == "127.0.0.1:7"
    assert settings.rpc_server_1 is None


def test_a_network_without_a_seed_is_refused(host: pytest.MonkeyPatch) -> None:
    for name in SEED:
        host.delenv(name)
    with pytest.raises(InvalidJoinSettings) as refused:
        JoinSettings.load()
    assert str(refused.value).splitlines() == [
        "SEED_NODE_RPC_URL (--seed-rpc) is not set",
        "SEED_NODE_P2P_URL (--seed-p2p) is not set",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("SEED_NODE_RPC_URL", "seed:26657", "--seed-rpc"),
        ("SEED_NODE_RPC_URL", "http://seed:port", "--seed-rpc"),
        ("SEED_NODE_P2P_URL", "http://seed:5000", "--seed-p2p"),
        ("SEED_NODE_P2P_URL", "tcp://seed", "--seed-p2p"),
        ("P2P_EXTERNAL_ADDRESS", "tcp://seed:70000", "--external-address"),
        ("KEY_NAME", "my key", "--moniker"),
        ("KEY_NAME", "k" * 65, "--moniker"),
        ("RPC_SERVER_URL_2", "ftp://a", "--rpc-server-2"),
        ("TRUSTED_BLOCK_PERIOD", "many", "--trusted-block-period"),
        ("TRUSTED_BLOCK_PERIOD", "0", "--trusted-block-period"),
        ("SNAPSHOT_INTERVAL", "-1", "--snapshot-interval"),
        ("SNAPSHOT_KEEP_RECENT", "0", "--snapshot-keep-recent"),
        ("TMKMS_PORT", "65536", "--signer-port"),
        ("GENESIS_SHA256", "abc", "--genesis-sha256"),
        ("SYNC_WITH_SNAPSHOTS", "perhaps", "--state-sync"),
        ("CONFIG_p2p__laddr", "tcp://:26656", "--p2p"),
    ],
)
def test_a_malformed_value_is_named_in_one_sentence(
    variable: str, value: str, option: str, host: pytest.MonkeyPatch
) -> None:
    host.setenv(variable, value)
    with pytest.raises(InvalidJoinSettings) as refused:
        JoinSettings.load()
    [sentence] = str(refused.value).splitlines()
    assert sentence.startswith(f"{variable} ({option}): ")


@pytest.mark.parametrize("given", ["RPC_SERVER_URL_1", "RPC_SERVER_URL_2"])
def test_a_snapshot_is_trusted_only_with_two_servers(given: str, host: pytest.MonkeyPatch) -> None:
    host.setenv("SYNC_WITH_SNAPSHOTS", "true")
    host.setenv(given, "http://a:1")
    missing = ({"RPC_SERVER_URL_1", "RPC_SERVER_URL_2"} - {given}).pop()
    with pytest.raises(InvalidJoinSettings, match=f"^{missing} is not set"):
        JoinSettings.load()
