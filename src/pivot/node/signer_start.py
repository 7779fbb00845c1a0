"""What a signer that runs by itself, beside its chain node, has when it starts."""

from pathlib import Path

import aiohttp

from pivot.node.addresses import parse_address, parse_url
from pivot.node.chain_node import ChainNode
from pivot.node.errors import HomeUnusable
from pivot.node.signer_home import SignerHome

DEFAULT_NODE = "127.0.0.1:26658"


async def prepare_signer(signer: SignerHome, tmkms: Path, node: str, seed_rpc: str) -> None:
    """Keys, made on the first start, and `tmkms.toml`. The chain is asked of `seed_rpc` (URL) on the first start only.

    `node`: the `host:port` at which the chain node waits for its signer. Raises NodeError.
    """
    chain_id = signer.chain_id()
    try:
        address = parse_address(node)
        if chain_id is None:
            if not seed_rpc:
                raise HomeUnusable(
                    "SEED_NODE_RPC_URL (--seed-rpc) is not set: a new signer learns there for which chain it signs"
                )
            async with aiohttp.ClientSession() as http:
                chain_id = (await ChainNode(http, parse_url(seed_rpc), "SEED_NODE_RPC_URL").identity()).chain_id
    except ValueError as error:
        raise HomeUnusable(str(error)) from error
    signer.make_keys(tmkms)
    signer.write_config(chain_id, str(address))
