"""`/chain-rpc/websocket`: the engine's events through the public port, as CosmJS and other clients of Tendermint ask for them.

A client's connection is joined to one with the engine. What it may ask is what the port passes on anyway, and subscriptions. The
engine serves 100 clients with subscriptions and buffers for each, so there are limits: connections of an address and of all,
subscriptions of each, bytes, and time without a word.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from pivot.api.http.chain_calls import RPC_METHODS, RPC_PREFIX, method_of, parsed, require_open
from pivot.api.http.errors import ApiError, MalformedBody, TooManyRequests, Unavailable
from pivot.api.http.quotas import asker_of
from pivot.api.http.websockets import deny
from pivot.api.keys.shares import Shares
from pivot.api.settings import ChainNodeSettings

EVENTS_PATH = RPC_PREFIX + "/websocket"
MAX_CONNECTIONS = 64
"""Of everybody together."""
MAX_OF_ADDRESS = 4
MAX_ADDRESSES = 4_096
"""That are remembered."""
MAX_SUBSCRIPTIONS = 5
"""Of one connection, at a time."""
LONGEST_QUERY = 512
"""Characters of what is subscribed to."""
MAX_EVENT_BYTES = 16 * 2**20
"""Of one message of the engine."""
MAX_BYTES_A_MINUTE = 64 * 2**20
"""From the engine to one client."""
IDLE_SECONDS = 600.0
"""A connection over which neither side has said anything for so long is closed."""
CONNECT_SECONDS = 3.0
SUBSCRIBE, UNSUBSCRIBE, UNSUBSCRIBE_ALL = "subscribe", "unsubscribe", "unsubscribe_all"
METHODS = RPC_METHODS | {SUBSCRIBE, UNSUBSCRIBE, UNSUBSCRIBE_ALL}
INVALID_REQUEST = -32_600
"""JSON-RPC's code for a call that is not one, or not one of ours."""
NORMAL, GOING_AWAY, UNSUPPORTED, POLICY = 1000, 1001, 1003, 1008
"""Codes with which a websocket is closed (RFC 6455, section 7.4.1)."""

log = structlog.get_logger(__name__)


class ChainEvents:
    """Joins clients to the engine."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        chain_node: ChainNodeSettings,
        spend: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """spend: takes one of the requests a minute that are passed on to the chain node; raises ApiError when none is left."""
        self._http = http
        self._url = chain_node.url.rstrip("/") + "/websocket"
        self._spend = spend
        self._clock = clock
        self._shares = Shares(MAX_ADDRESSES)
        self._open = 0

    async def join(self, client: WebSocket) -> None:
        """Serve a client that wants a websocket, as long as it lasts."""
        try:
            with self._place(asker_of(client.scope)):
                self._spend()
                async with await self._engine() as engine:
                    await client.accept()
                    await _Joined(client, engine, self._spend, self._clock).run()
        except ApiError as refusal:
            await deny(client.send, refusal)

    @contextmanager
    def _place(self, asker: str | None) -> Iterator[None]:
        """Raises TooManyRequests."""
        if self._open >= MAX_CONNECTIONS:
            raise TooManyRequests(f"{MAX_CONNECTIONS} websockets to this host's chain node are open; ask another host")
        share = self._shares.of(asker) if asker else None
        if share and share.under_way >= MAX_OF_ADDRESS:
            raise TooManyRequests(f"{asker} has {share.under_way} websockets open, and may have no more")
        self._open += 1
        try:
            if share:
                with share.place():
                    yield
            else:
                yield
        finally:
            self._open -= 1

    async def _engine(self) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._http.ws_connect(self._url, max_msg_size=MAX_EVENT_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("chain_node_away", reason=f"{type(error).__name__} {error}".rstrip())
            raise Unavailable("the chain node does not answer") from error


class _Joined:
    """One client and its connection to the engine."""

    def __init__(
        self,
        client: WebSocket,
        engine: aiohttp.ClientWebSocketResponse,
        spend: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._engine = engine
        self._spend = spend
        self._clock = clock
        self._subscribed: set[str] = set()
        self._minute_began, self._bytes = clock(), 0
        self._idle = asyncio.timeout(IDLE_SECONDS)

    async def run(self) -> None:
        """Pass on what both say until one of them ends, or until a limit is reached."""
        both = [asyncio.create_task(each) for each in (self._calls(), self._events())]
        code, reason = NORMAL, "nothing was said for a long time"
        try:
            async with self._idle:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            code, reason = next(task.result() for task in both if task.done())
        except TimeoutError:
            pass
        except WebSocketDisconnect:
            return
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        await self._client.close(code, reason)

    async def _calls(self) -> tuple[int, str]:
        """Pass on what the client asks, until it is to be closed: with which code, and why. Raises WebSocketDisconnect."""
        while True:
            message = await self._client.receive()
            if message["type"] != "websocket.receive":
                raise WebSocketDisconnect(message.get("code", NORMAL))
            text = message.get("text")
            if text is None:
                return UNSUPPORTED, "calls are text"
            self._somebody_spoke()
            call: Any = None
            try:
                self._spend()
                call = parsed(text)
                self._admit(call)
            except ApiError as refusal:
                await self._refuse(call, str(refusal))
            else:
                try:
                    await self._engine.send_str(text)
                except (ConnectionError, aiohttp.ClientError):
                    return GOING_AWAY, "the chain node has ended the connection"

    async def _events(self) -> tuple[int, str]:
        """Pass on what the engine says, until the client is to be closed: with which code, and why."""
        async for message in self._engine:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            self._somebody_spoke()
            if not self._within_a_minutes_bytes(len(message.data)):
                return POLICY, f"more than {MAX_BYTES_A_MINUTE} bytes in a minute"
            await self._client.send_text(message.data)
        return GOING_AWAY, "the chain node has ended the connection"

    def _admit(self, call: Any) -> None:
        """Note what a call subscribes to. Raises MalformedBody, NotPermitted, TooManyRequests."""
        method = method_of(call)
        require_open(method, METHODS)
        if method == UNSUBSCRIBE_ALL:
            self._subscribed.clear()
        elif method == UNSUBSCRIBE:
            self._subscribed.discard(_query_of(call))
        elif method == SUBSCRIBE:
            query = _query_of(call)
            if len(self._subscribed | {query}) > MAX_SUBSCRIPTIONS:
                raise TooManyRequests(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions")
            self._subscribed.add(query)

    async def _refuse(self, call: Any, sentence: str) -> None:
        name = call.get("id") if isinstance(call, dict) else None
        error = {"code": INVALID_REQUEST, "message": sentence}
        document = {"jsonrpc": "2.0", "id": name, "error": error}
        await self._client.send_text(orjson.dumps(document).decode())

    def _within_a_minutes_bytes(self, count: int) -> bool:
        now_s = self._clock()
        if now_s - self._minute_began >= 60:
            self._minute_began, self._bytes = now_s, 0
        self._bytes += count
        return self._bytes <= MAX_BYTES_A_MINUTE

    def _somebody_spoke(self) -> None:
        self._idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)


def _query_of(call: dict[str, Any]) -> str:
    """What a call subscribes to, by name or as its only parameter. Raises MalformedBody."""
    given = call.get("params")
    query = given.get("query") if isinstance(given, dict) else given[0] if isinstance(given, list) and given else None
    if not isinstance(query, str) or len(query) > LONGEST_QUERY:
        raise MalformedBody(f"params.query: text of at most {LONGEST_QUERY} characters")
    return query
