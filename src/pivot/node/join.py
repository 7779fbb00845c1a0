"""Join a network: everything that `pivot node run` starts from is made out of what a chain node of that network tells.

Nothing is written before everything has been checked, and the engine's folder appears as a whole. Joining again changes the
settings only: keys, genesis and state stay. A node that has joined once starts without its seed.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from pivot.node.addresses import is_loopback, require_free
from pivot.node.chain_node import ChainNode, Identity
from pivot.node.clock import complaint
from pivot.node.disk import require_room
from pivot.node.engine_home import Config, EngineHome, engine_config, two_consensus_keys
from pivot.node.errors import ClockOff, HomeUnusable, SeedUnreachable
from pivot.node.genesis import block_pause, check_genesis, genesis_sha256, genesis_text
from pivot.node.join_settings import JoinSettings
from pivot.node.network_node import NODE_FILE, application_socket
from pivot.node.state_sync import state_sync_section

PRIVATE_FOLDER_MODE = 0o700
CHECK_TIMEOUT_SECONDS = 20
MAX_SHOWN_WORDS_CHARACTERS = 300
OWN_ADDRESSES = ("CONFIG_p2p__laddr", "CONFIG_rpc__laddr")
"""These variables are settings of the joining itself (`p2p`, `rpc`), in which an option wins over them."""


@dataclass(frozen=True)
class Joined:
    """What a node has joined."""

    home: str
    chain_id: str
    genesis_sha256: str
    node_id: str
    peers: str
    state_sync: bool
    signer: str
    """host:port at which the engine waits for its signer; empty: its own key signs."""
    new: bool


@dataclass(frozen=True)
class _Told:
    """What the network told."""

    genesis: dict[str, Any]
    peers: str
    state_sync: dict[str, Any]


async def join(
    settings: JoinSettings,
    engine: Path,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Joined:
    """Make the node's home, or bring its settings in step. `engine`: the CometBFT that shall accept the settings.

    `environment` (default: this process's) gives the `CONFIG_…` variables. `say` hears what a person should know.
    Raises NodeError; then nothing has changed.
    """
    home = EngineHome(settings.home / "engine")
    require_room(settings.home)
    known = _known_genesis(home)
    if known is None:
        _require_free_ports(settings)
    else:
        _require_same_signer(settings, home)
    async with aiohttp.ClientSession() as http:
        told = await _ask(settings, http, home, known, say)
    with _folder(settings.home), tempfile.TemporaryDirectory(dir=settings.home, prefix=".joining-") as partial:
        draft = EngineHome(Path(partial) / "engine")
        draft.make_keys(with_consensus_key=settings.signer is None)
        draft.write_config(_config(settings, told), _overrides(environment))
        _check_config(engine, draft)
        if known is None:
            draft.genesis_file.write_bytes(genesis_text(told.genesis))
            draft.path.rename(home.path)
        else:
            draft.config_file.replace(home.config_file)
        _write_snapshot_settings(settings, Path(partial))
    return Joined(
        home=str(settings.home),
        chain_id=told.genesis["chain_id"],
        genesis_sha256=genesis_sha256(told.genesis),
        node_id=home.node_id(),
        peers=told.peers,
        state_sync=bool(told.state_sync),
        signer=str(settings.signer or ""),
        new=known is None,
    )


async def _ask(
    settings: JoinSettings,
    http: aiohttp.ClientSession,
    home: EngineHome,
    known: dict[str, Any] | None,
    say: Callable[[str], None],
) -> _Told:
    """What the seed and the two RPC servers tell, checked; what is known stands in for those that do not answer."""
    seed = ChainNode(http, settings.seed_rpc, "SEED_NODE_RPC_URL")
    try:
        identity = await seed.identity()
        _check_clock(seed, identity, say, new=known is None)
        genesis = await seed.genesis() if known is None else known
        check_genesis(genesis, identity.chain_id, settings.genesis_sha256, seed.name)
        peers = f"{identity.node_id}@{settings.seed_p2p}"
        return _Told(genesis, peers, await state_sync_section(settings, http, identity.chain_id))
    except SeedUnreachable as error:
        if known is None:
            raise
        say(f"{error}; the peers and the trusted header that are known stay")
        kept = home.config()
        return _Told(known, kept["p2p"]["persistent_peers"], kept.get("statesync", {}))


def _config(settings: JoinSettings, told: _Told) -> Config:
    config = engine_config(
        moniker=settings.moniker,
        abci_socket=application_socket(settings.home),
        rpc=str(settings.rpc),
        p2p=str(settings.p2p),
        timeout_commit=block_pause(told.genesis),
        peers=[told.peers],
        on_one_machine=is_loopback(settings.seed_p2p.host),
        signer=str(settings.signer or ""),
    )
    if settings.external_address is not None:
        config["p2p"]["external_address"] = str(settings.external_address)
    if told.state_sync:
        config["statesync"] = told.state_sync
    return config


def _check_clock(seed: ChainNode, told: Identity, say: Callable[[str], None], *, new: bool) -> None:
    """Compare this machine's clock with the seed's. A node that has joined before is warned only: the seed may be the one
    that is off. Raises ClockOff.
    """
    found = complaint(seed.name, told.clock_ahead_s, f"that of {seed.url}")
    if found and new:
        raise ClockOff(found)
    if found:
        say(found)


def _known_genesis(home: EngineHome) -> dict[str, Any] | None:
    """The genesis of a node that has joined before; None where there is none. Raises HomeUnusable."""
    if not home.path.exists():
        return None
    try:
        document: dict[str, Any] = json.loads(home.genesis_file.read_bytes())
        home.node_id()
        home.config()
    except (OSError, ValueError, KeyError) as error:
        raise HomeUnusable(
            f"{home.path} is not the whole folder of a node that has joined a network ({error}): move it away, and keep its keys"
        ) from error
    return document


def _require_same_signer(settings: JoinSettings, home: EngineHome) -> None:
    """Refuse to make a second consensus key, or to leave one beside a signer. Raises HomeUnusable, TwoConsensusKeys."""
    signer = str(settings.signer or "")
    if signer and home.consensus_key_file.exists():
        raise two_consensus_keys(home, signer)
    if not signer and not home.consensus_key_file.exists():
        raise HomeUnusable(
            "TMKMS_PORT (--signer-port) is not set, but this node's consensus key is with a signer, not in "
            f"{home.consensus_key_file}"
        )


def _require_free_ports(settings: JoinSettings) -> None:
    require_free(settings.p2p, "CONFIG_p2p__laddr (--p2p)")
    require_free(settings.rpc, "CONFIG_rpc__laddr (--rpc)")
    if settings.signer is not None:
        require_free(settings.signer, "TMKMS_PORT (--signer-port)")


def _overrides(environment: Mapping[str, str] | None) -> dict[str, str]:
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if name not in OWN_ADDRESSES}


def _check_config(engine: Path, draft: EngineHome) -> None:
    """Let the engine read its settings. Raises HomeUnusable with its words."""
    command = [str(engine), "show-node-id", "--home", str(draft.path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_TIMEOUT_SECONDS, check=False)
    if answer.returncode:
        words = " ".join((answer.stderr or answer.stdout).split())[:MAX_SHOWN_WORDS_CHARACTERS]
        raise HomeUnusable(f"the engine refuses its settings (CONFIG_section__key): {words}")


def _write_snapshot_settings(settings: JoinSettings, partial: Path) -> None:
    """`node.json`: what the application is to do, besides what the chain decides."""
    document = {"snapshot_interval": settings.snapshot_interval, "snapshot_keep_recent": settings.snapshot_keep_recent}
    draft = partial / NODE_FILE
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(settings.home / NODE_FILE)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder that is there, and goes again if it was made here and nothing came of it."""
    made = not path.exists()
    path.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
