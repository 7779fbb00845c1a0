"""A node starts only where nobody else listens, and as it was told when it joined."""

import json
import socket
from pathlib import Path

import pytest

from pivot.node.addresses import HostPort, dialled, is_loopback, parse_address
from pivot.node.engine_home import EngineHome, engine_config
from pivot.node.errors import PortTaken
from pivot.node.network_node import (
    LONGEST_SOCKET_PATH,
    NODE_FILE,
    NodeSettings,
    application_socket,
    node_groups,
    require_free_ports,
)
from tests.e2e.network import free_port


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        ("p2p", "CONFIG_p2p__laddr"),
        ("rpc", "CONFIG_rpc__laddr"),
        ("signer", "TMKMS_PORT"),
        ("grpc", "--grpc"),
        ("rest", "--rest"),
    ],
)
def test_a_taken_port_is_named_by_its_setting(taken: str, named: str, tmp_path: Path) -> None:
    places = {name: f"127.0.0.1:{free_port()}" for name in ("p2p", "rpc", "signer", "grpc", "rest")}
    settings = NodeSettings(
        home=tmp_path, engine=Path("cometbft"), rpc_url="", grpc=places["grpc"], rest=places["rest"]
    )
    EngineHome(settings.engine_home).write_config(
        engine_config(
            moniker="a",
            abci_socket=tmp_path / "socket",
            rpc=places["rpc"],
            p2p=places["p2p"],
            timeout_commit="1s",
            peers=[],
            on_one_machine=True,
            signer=places["signer"],
        ),
        {},
    )
    require_free_ports(settings)
    with socket.socket() as other:
        other.bind(parse_address(places[taken]))
        other.listen()
        with pytest.raises(
            PortTaken, match=rf"^{named}.*nothing can listen on {places[taken]}: Address already in use"
        ):
            require_free_ports(settings)


def test_a_long_path_gives_a_socket_among_the_temporary_files() -> None:
    assert application_socket(Path("/srv")) == Path("/srv/application.sock")
    long = Path("/" + "x" * LONGEST_SOCKET_PATH)
    assert len(str(application_socket(long))) < LONGEST_SOCKET_PATH
    assert application_socket(long) != application_socket(long / "y")


def test_addresses_of_either_family_are_read_and_written() -> None:
    assert parse_address("tcp://[::1]:26656") == HostPort("::1", 26656)
    assert str(HostPort("::1", 26656)) == "[::1]:26656"
    assert dialled(HostPort("::", 1)) == HostPort("127.0.0.1", 1)
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("node")


def test_the_application_takes_snapshots_as_the_node_was_told_when_it_joined(tmp_path: Path) -> None:
    settings = NodeSettings(home=tmp_path, engine=Path("cometbft"), rpc_url="", grpc="", rest="")
    home = EngineHome(settings.engine_home)
    home.write_config(
        engine_config(
            moniker="a",
            abci_socket=tmp_path / "socket",
            rpc="127.0.0.1:1",
            p2p="127.0.0.1:2",
            timeout_commit="1s",
            peers=[],
            on_one_machine=True,
        ),
        environment={},
    )
    (application, _), _ = node_groups(settings)
    assert "--snapshot-interval" not in application.command
    (tmp_path / NODE_FILE).write_text(json.dumps({"snapshot_interval": 7, "snapshot_keep_recent": 2}))
    (application, _), _ = node_groups(settings)
    assert application.command[-4:] == ["--snapshot-interval", "7", "--snapshot-keep-recent", "2"]
