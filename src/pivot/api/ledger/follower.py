"""The newest block of the chain node: told by the engine's websocket, asked for where that is silent or broken.

Only the newest block is kept, so a slow reader falls behind by blocks and never by a queue, and a gap costs nothing.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

import aiohttp
import orjson

from pivot.api.ledger.header import head_of
from pivot.api.ledger.interface import ChainUnavailable, Head, LedgerError
from pivot.api.ledger.rpc import Rpc

SUBSCRIPTION = orjson.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": "tm.event='NewBlockHeader'"}}
).decode()
MAX_EVENT_BYTES = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long the follower waits, in seconds."""

    heartbeat: float = 5.0
    """Between pings; a peer that does not answer within half of it is gone."""
    silence: float = 5.0
    """Without an event, before the engine is asked whether it really has no new block."""
    doubt: float = 2.0
    """Between questions while the node catches up with the network, or after it had a block that no event told of."""
    first_retry: float = 0.1
    longest_retry: float = 2.0
    """Also how often blocks are asked for while there is no websocket."""


class Follower:
    """Follows one chain node. Heights only rise."""

    def __init__(self, http: aiohttp.ClientSession, rpc: Rpc, patience: Patience | None = None) -> None:
        self._http = http
        self._rpc = rpc
        self._patience = patience or Patience()
        self._rose = asyncio.Event()
        self._returned = 0
        self._asked_at = 0.0
        self._heard = False
        """Whether the present websocket has told of a block."""
        self._task: asyncio.Task[None] | None = None
        self.newest: Head | None = None
        self.synced = False
        """Whether the node had caught up with the network when it was last asked."""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def next(self) -> Head:
        """The newest block, as soon as it is above the one returned last."""
        while self.newest is None or self.newest.height <= self._returned:
            self._rose.clear()
            await self._rose.wait()
        self._returned = self.newest.height
        return self.newest

    async def _run(self) -> None:
        pause, told = self._patience.first_retry, ""
        while True:
            self._heard = False
            try:
                await self._ask()
                await self._listen()
            except (LedgerError, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as error:
                if self._heard or str(error) != told:
                    told = str(error)
                    _log.warning(
                        "no websocket to the chain node at %s (%s); until there is one, it is asked for its blocks",
                        self._rpc.url,
                        told,
                    )
            pause = self._patience.first_retry if self._heard else min(2 * pause, self._patience.longest_retry)
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        """Take events until the socket breaks, or until it turns out to have missed a block."""
        url = self._rpc.websocket_url
        async with self._http.ws_connect(
            url, heartbeat=self._patience.heartbeat, max_msg_size=MAX_EVENT_BYTES
        ) as socket:
            await socket.send_str(SUBSCRIPTION)
            await self._ask()  # what came between the last question and the subscription
            missed = False
            while True:
                wait = self._patience.doubt if missed or not self.synced else self._patience.silence
                try:
                    message = await socket.receive(wait)
                except TimeoutError:
                    if await self._ask():
                        if missed:  # once may be a coincidence: the event was under way
                            raise ChainUnavailable("its websocket tells nothing of new blocks") from None
                        missed = True
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise ChainUnavailable("its websocket was closed")
                if self._take(orjson.loads(message.data)):
                    missed, self._heard = False, True
                if not self.synced and asyncio.get_running_loop().time() - self._asked_at > self._patience.doubt:
                    await self._ask()

    async def _ask(self) -> bool:
        """Poll the engine's status. Whether it had a block that no event has told of."""
        status = await self._rpc.status()
        self._asked_at = asyncio.get_running_loop().time()
        self.synced = status.synced
        return status.head.height > 0 and self._offer(status.head)

    def _take(self, document: dict[str, object]) -> bool:
        """Whether the message tells of a block."""
        if "error" in document:
            raise ChainUnavailable(f"its subscription ended: {document['error']}")
        result = document["result"]
        if not isinstance(result, dict) or not (data := result.get("data")):
            return False  # the subscription's confirmation
        self._offer(head_of(data["value"]["header"]))
        return True

    def _offer(self, head: Head) -> bool:
        if self.newest is not None and head.height <= self.newest.height:
            return False
        self.newest = head
        self._rose.set()
        return True
