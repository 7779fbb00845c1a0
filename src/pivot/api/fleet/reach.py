"""Whether an ML node that the host declares is there: asked before it is taken, so that a typing error is told at once."""

import asyncio

import aiohttp

from pivot.api.fleet.client import MlNodeClient, MlNodeError, MlNodeRefused, MlNodeUnreachable
from pivot.api.fleet.declaration import InvalidNode

REACH_PATIENCE_S = 5.0
"""How long a node may take to answer for the first time: one that was started a second ago is not refused."""
REACH_PAUSE_S = 0.25
"""Between two tries."""


async def require_reachable(client: MlNodeClient) -> None:
    """Returns as soon as the node tells its state. Raises InvalidNode, naming the field, when it does not."""
    failure: MlNodeError | None = None
    try:
        async with asyncio.timeout(REACH_PATIENCE_S):
            while True:
                try:
                    await client.state()
                except MlNodeUnreachable as error:
                    failure = error
                else:
                    return
                await asyncio.sleep(REACH_PAUSE_S)
    except MlNodeRefused as refusal:
        field = "auth_token" if refusal.unauthorized else "poc_port"
        raise InvalidNode(f"{field}: what answers there is no ML node of this host: {refusal}") from refusal
    except TimeoutError:
        field = "host" if _is_unknown_name(failure) else "poc_port"
        why = str(failure or f"{client.management_url} is silent")
        raise InvalidNode(f"{field}: no ML node answers within {REACH_PATIENCE_S:g} s: {why}") from failure


def _is_unknown_name(failure: MlNodeError | None) -> bool:
    return failure is not None and isinstance(failure.__cause__, aiohttp.ClientConnectorDNSError)
