"""@cosmjs, unmodified, over a websocket through the public port of a host, on a real chain."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.api.http.test_chain_events import Engine, Port
from tests.chain.chain import key
from tests.clients.test_wallets import cosmjs
from tests.clients.wallet_chain import WalletChain

__all__ = ["cosmjs"]
pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(300)]
RUN_TIMEOUT_SECONDS = 120


async def test_cosmjs_follows_blocks_and_sees_its_own_transaction(wallet_chain: WalletChain, cosmjs: Path) -> None:
    shutil.copy(Path(__file__).parent / "events.mjs", cosmjs)
    engine = Engine()
    engine.url = wallet_chain.rpc_url
    async with Port(engine).running() as port:
        url = port.url.replace("http://", "ws://") + "/chain-rpc"
        arguments = ("node", "events.mjs", url, key("alice").secret_hex, key("whom the events tell of").address)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*arguments, cwd=cosmjs, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(RUN_TIMEOUT_SECONDS):
            out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {
        "network": wallet_chain.chain_id,
        "following": True,
        "code": 0,
        "sameBlock": True,
        "action": True,
    }
