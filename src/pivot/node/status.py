"""What a network node on this machine is doing, asked of its engine."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp

from pivot.node.addresses import dialled, parse_address
from pivot.node.chain_node import ChainNode
from pivot.node.engine_home import EngineHome
from pivot.node.errors import HomeUnusable, SeedUnreachable, UpgradeDue
from pivot.node.genesis import genesis_sha256
from pivot.node.network_node import halt_sentence


@dataclass(frozen=True)
class NodeStatus:
    """The answer of `pivot node status`."""

    home: str
    chain_id: str
    genesis_sha256: str
    node_id: str
    moniker: str
    height: int
    app_hash: str
    catching_up: bool
    peers: int
    consensus_key: str
    """base64, 32 bytes."""
    voting_power: int


def engine_rpc(home: Path) -> str:
    """URL at which the engine of the node in `home` answers this machine. Raises HomeUnusable."""
    try:
        listens = str(EngineHome(home / "engine").config()["rpc"]["laddr"])
        return f"http://{dialled(parse_address(listens))}"
    except (OSError, ValueError, KeyError) as error:
        raise HomeUnusable(
            f"{home} is not the folder of a node that has joined a network (`pivot node join` makes one): {error}"
        ) from error


async def ask_status(home: Path) -> NodeStatus:
    """The state of the node in `home`. Raises HomeUnusable, and when it does not run UpgradeDue or SeedUnreachable."""
    async with aiohttp.ClientSession() as http:
        node = ChainNode(http, engine_rpc(home), "the engine's RPC")
        try:
            identity = await node.identity()
        except SeedUnreachable:
            if halt := halt_sentence(home):
                raise UpgradeDue(halt) from None
            raise
        return NodeStatus(
            home=str(home),
            chain_id=identity.chain_id,
            genesis_sha256=genesis_sha256(await node.genesis()),
            node_id=identity.node_id,
            moniker=identity.moniker,
            height=identity.height,
            app_hash=identity.app_hash,
            catching_up=identity.catching_up,
            peers=await node.peers(),
            consensus_key=identity.consensus_key,
            voting_power=identity.voting_power,
        )
