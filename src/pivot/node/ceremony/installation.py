"""A node made out of a genesis document that is at hand, where no chain node could tell it: for the first hosts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivot.node.addresses import HostPort, is_loopback
from pivot.node.ceremony.errors import CeremonyError
from pivot.node.engine_home import EngineHome, engine_config, two_consensus_keys
from pivot.node.genesis import block_pause, check_genesis, genesis_sha256, genesis_text
from pivot.node.network_node import application_socket


@dataclass(frozen=True)
class Installation:
    """How the node is to be set up. `peers` are `node-id@host:port`."""

    home: Path
    moniker: str
    p2p: HostPort
    rpc: HostPort
    peers: Sequence[str]
    external_address: str = ""
    signer: str = ""
    """host:port at which to wait for the signer; empty: the engine's own key signs."""


def install(document: dict[str, Any], settings: Installation) -> str:
    """Make the node's folder ready to run. Returns the document's SHA-256.

    A folder with another genesis is left alone. Raises CeremonyError, SeedRefused, TwoConsensusKeys.
    """
    check_genesis(document, document["chain_id"], None, "genesis")
    engine = EngineHome(settings.home / "engine")
    text = genesis_text(document)
    if engine.genesis_file.exists() and engine.genesis_file.read_bytes() != text:
        raise CeremonyError(
            f"{engine.genesis_file} is the genesis of another network, or an older one: move it away first"
        )
    if settings.signer and engine.consensus_key_file.exists():
        raise two_consensus_keys(engine, settings.signer)
    engine.make_keys(with_consensus_key=not settings.signer)
    own = engine.node_id()
    peers = [peer for peer in settings.peers if peer and not peer.startswith(f"{own}@")]
    config = engine_config(
        moniker=settings.moniker,
        abci_socket=application_socket(settings.home),
        rpc=str(settings.rpc),
        p2p=str(settings.p2p),
        timeout_commit=block_pause(document),
        peers=peers,
        on_one_machine=bool(peers) and all(is_loopback(peer.partition("@")[2].rpartition(":")[0]) for peer in peers),
        signer=settings.signer,
    )
    if settings.external_address:
        config["p2p"]["external_address"] = settings.external_address
    engine.write_config(config)
    engine.genesis_file.write_bytes(text)
    return genesis_sha256(document)
