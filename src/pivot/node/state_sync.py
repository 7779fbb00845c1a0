"""Where a new engine may begin in place of block 1: a header that two chain nodes agree on."""

from typing import Any

import aiohttp

from pivot.node.chain_node import ChainNode
from pivot.node.errors import SeedRefused
from pivot.node.join_settings import JoinSettings

TRUST_PERIOD = "32h0m0s"
"""Two thirds of the evidence's age: whoever has signed a false header can still be punished for it."""
DISCOVERY_TIME = "5s"
"""How long the engine hears its peers before it chooses a snapshot, and between two rounds of asking: its least."""
FIRST_SERVER = "RPC_SERVER_URL_1"
SECOND_SERVER = "RPC_SERVER_URL_2"


async def state_sync_section(settings: JoinSettings, http: aiohttp.ClientSession, chain_id: str) -> dict[str, Any]:
    """The engine's section `statesync`; empty where it is not wanted. Raises SeedUnreachable, SeedRefused."""
    if not settings.state_sync or settings.rpc_server_1 is None or settings.rpc_server_2 is None:
        return {}
    first = ChainNode(http, settings.rpc_server_1, FIRST_SERVER)
    second = ChainNode(http, settings.rpc_server_2, SECOND_SERVER)
    heights = []
    for server in (first, second):
        identity = await server.identity()
        if identity.chain_id != chain_id:
            raise SeedRefused(f"{server.name}: {server.url} is on chain {identity.chain_id!r}, not on {chain_id!r}")
        heights.append(identity.height)
    height = max(1, min(heights) - settings.trusted_block_period)
    trusted, compared = await first.header_hash(height), await second.header_hash(height)
    if trusted != compared:
        raise SeedRefused(
            f"{FIRST_SERVER} and {SECOND_SERVER} disagree on block {height}: {trusted} and {compared}; one of them lies"
        )
    return {
        "enable": True,
        "rpc_servers": f"{first.url},{second.url}",
        "trust_height": height,
        "trust_hash": trusted,
        "trust_period": TRUST_PERIOD,
        "discovery_time": DISCOVERY_TIME,
    }
