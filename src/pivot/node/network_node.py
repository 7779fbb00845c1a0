"""The three processes of a network node's chain side, for `pivot node run` and for the devnet alike."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pivot.chain.exits import HALT_FILE
from pivot.node.addresses import parse_address, require_free
from pivot.node.engine_home import EngineHome
from pivot.node.supervisor import ProcessSpec

NODE_FILE = "node.json"
"""In the node's folder: what the application is to do, besides what the chain decides."""
LONGEST_SOCKET_PATH = 100
"""The system allows 107 bytes for the path of a unix socket."""


@dataclass(frozen=True)
class NodeSettings:
    """Where a network node lives and listens. `grpc` and `rest` are `host:port`."""

    home: Path
    engine: Path
    rpc_url: str
    grpc: str
    rest: str
    logs: Path | None = None
    """Folder of the processes' logs; None: our own standard output."""
    log_prefix: str = ""
    host: int = 0
    engine_waits_for: Callable[[], bool] | None = None
    """The engine makes no block before this is true (besides waiting for its application)."""

    @property
    def engine_home(self) -> Path:
        return self.home / "engine"

    @property
    def chain_home(self) -> Path:
        return chain_home(self.home)


def chain_home(home: Path) -> Path:
    """The state's folder of the node in `home`."""
    return home / "chain"


def halt_sentence(home: Path) -> str:
    """Why the application of the node in `home` last ended with EXIT_UPGRADE, in its own words; empty if it did not."""
    try:
        return (chain_home(home) / HALT_FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def application_socket(home: Path) -> Path:
    """The application's socket: in the node's folder, or among the system's temporary files if that path is too long."""
    path = home / "application.sock"
    if len(str(path).encode()) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"pivot-{name}.sock"


def lock_file(home: Path) -> Path:
    """Held by `pivot node run`, and by what must not happen while it runs."""
    return home / "lock"


def require_free_ports(settings: NodeSettings) -> None:
    """Refuse to start where another process listens already. Raises PortTaken, which names the setting."""
    config = EngineHome(settings.engine_home).config()
    places = {
        "CONFIG_p2p__laddr (--p2p of `pivot node join`)": config["p2p"]["laddr"],
        "CONFIG_rpc__laddr (--rpc of `pivot node join`)": config["rpc"]["laddr"],
        "TMKMS_PORT (--signer-port of `pivot node join`)": config[""].get("priv_validator_laddr"),
        "--grpc": settings.grpc,
        "--rest": settings.rest,
    }
    for name, place in places.items():
        if place:
            require_free(parse_address(place), name)


def node_groups(settings: NodeSettings) -> list[list[ProcessSpec]]:
    """Engine and application as one group, the gateway as another. Raises TwoConsensusKeys."""
    EngineHome(settings.engine_home).check_one_consensus_key()
    socket = application_socket(settings.home)
    application = _python(
        "pivot.chain", "--home", str(settings.chain_home), "--socket", str(socket), *_snapshot_options(settings.home)
    )
    engine = [str(settings.engine), "start", "--home", str(settings.engine_home)]
    gateway = _python(
        "pivot.chain.gateway",
        "--database",
        str(settings.chain_home),
        "--rpc",
        settings.rpc_url,
        "--grpc",
        settings.grpc,
        "--rest",
        settings.rest,
    )
    return [
        [
            _spec(settings, "application", application),
            ProcessSpec(
                "engine", engine, _log(settings, "engine"), settings.host, waits_for=_engine_may_start(settings)
            ),
        ],
        [_spec(settings, "gateway", gateway)],
    ]


def _snapshot_options(home: Path) -> list[str]:
    """What was said about snapshots when the node joined; the environment says it where nothing was."""
    try:
        told = json.loads((home / NODE_FILE).read_text())
    except FileNotFoundError:
        return []
    return [
        "--snapshot-interval",
        str(told["snapshot_interval"]),
        "--snapshot-keep-recent",
        str(told["snapshot_keep_recent"]),
    ]


def _engine_may_start(settings: NodeSettings) -> Callable[[], bool]:
    socket = application_socket(settings.home)

    def may_start() -> bool:
        return socket.exists() and (settings.engine_waits_for is None or settings.engine_waits_for())

    return may_start


def _spec(settings: NodeSettings, name: str, command: list[str]) -> ProcessSpec:
    return ProcessSpec(name, command, _log(settings, name), settings.host)


def _log(settings: NodeSettings, name: str) -> Path | None:
    return settings.logs / f"{settings.log_prefix}{name}.log" if settings.logs else None


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]
