"""`/chain-api/…` and `/chain-rpc/…`: the chain's REST gateway and the engine's RPC through the public port, so that a host opens only one.

Anybody may ask, so what is passed on has limits: which methods of the RPC, bodies, requests at a time and a minute.
"""

import time
from collections.abc import Callable

import aiohttp
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from yarl import URL

from pivot.api.http.body import Receive, Scope, Send, Shelf, read_body
from pivot.api.http.chain_calls import RPC_PREFIX, require_open, require_open_calls
from pivot.api.http.chain_events import EVENTS_PATH, ChainEvents
from pivot.api.http.errors import NotFound, NotPermitted, TooManyRequests, Unavailable
from pivot.api.inference.payload import payload
from pivot.api.keys.rate import Rate
from pivot.api.settings import ApiSettings

REST_PREFIX = "/chain-api"
MAX_BODY_BYTES = 2 * 2**20
MAX_BODY_BYTES_UNDER_WAY = 64 * 2**20
"""Of all requests together."""
MAX_UNDER_WAY = 64
"""Requests at a time, of everybody together: the chain node has blocks to make."""
MAX_WHOLE_BYTES = 2**20
"""A longer answer goes out as it comes."""
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=3)
PASSED_ON = ("accept", "content-type", "x-cosmos-block-height")
PASSED_BACK = ("content-type", "x-cosmos-block-height", "grpc-metadata-x-cosmos-block-height")
"""Headers that mean something to the chain node and its clients; all others are between neighbours."""

log = structlog.get_logger(__name__)


class ChainProxy:
    """Passes GET and POST requests on."""

    def __init__(
        self, http: aiohttp.ClientSession, settings: ApiSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._settings = settings
        self._clock = clock
        self._shelf = Shelf(MAX_BODY_BYTES_UNDER_WAY)
        self._per_minute = settings.api.chain_requests_per_minute
        self._rate = Rate(self._per_minute, clock())
        self._under_way = 0
        self.router = APIRouter()
        for prefix, route in ((REST_PREFIX, self.rest), (RPC_PREFIX, self.rpc)):
            self.router.add_api_route(prefix + "/{path:path}", route, methods=["GET", "POST"], include_in_schema=False)
        self.router.add_websocket_route(EVENTS_PATH, ChainEvents(http, settings.chain_node, self.spend, clock).join)

    async def rest(self, request: Request) -> Response:
        """One request to the gateway, and its answer."""
        url = _url_at(self._settings.chain_node.rest_url, REST_PREFIX, request)
        return await self._pass_on(request, url, lambda _: None)

    async def rpc(self, request: Request) -> Response:
        """One request to the engine, by JSON-RPC or by the method's name in the path, and its answer."""
        url = _url_at(self._settings.chain_node.url, RPC_PREFIX, request)
        path = url.path.strip("/")
        if request.method == "GET" or path:  # the engine takes a method of the path whatever the request's own is
            require_open(path)
            return await self._pass_on(request, url, lambda _: None)
        return await self._pass_on(request, url, require_open_calls)

    async def _pass_on(self, request: Request, url: URL, check: Callable[[bytes], None]) -> Response:
        self._take_turn()
        handed_over = False
        try:
            with self._shelf.place() as take:
                body = await read_body(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES, take)
                check(body)
                answer = await self._ask(request, url, body)
            back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
            if answer.content_length is not None and answer.content_length <= MAX_WHOLE_BYTES:
                return Response(await _whole(answer), answer.status, back)
            handed_over = True
            return _Streamed(answer, back, self._end_turn)
        finally:
            if not handed_over:
                self._end_turn()

    async def _ask(self, request: Request, url: URL, body: bytes) -> aiohttp.ClientResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            return await self._http.request(
                request.method,
                url,
                data=payload(body) if body else None,
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(error) from error

    def spend(self) -> None:
        """One of the requests a minute. Raises TooManyRequests, NotPermitted. The setting may change while the node runs."""
        per_minute = self._settings.api.chain_requests_per_minute
        if not per_minute:
            raise NotPermitted("this host passes nothing on to its chain node; ask another")
        if per_minute != self._per_minute:
            self._per_minute, self._rate = per_minute, Rate(per_minute, self._clock())
        if self._rate.take(self._clock()) > 0:
            raise TooManyRequests(f"this host passes {per_minute} requests a minute on to its chain node; ask another")

    def _take_turn(self) -> None:
        """Raises TooManyRequests, NotPermitted."""
        if self._under_way >= MAX_UNDER_WAY:
            raise TooManyRequests(f"{MAX_UNDER_WAY} requests to this host's chain node are under way; ask another host")
        self.spend()
        self._under_way += 1

    def _end_turn(self) -> None:
        self._under_way -= 1


class _Streamed(StreamingResponse):
    """A long answer as it comes. One that breaks off ends the connection: its length was not told."""

    def __init__(self, answer: aiohttp.ClientResponse, headers: dict[str, str], ended: Callable[[], None]) -> None:
        super().__init__(answer.content.iter_any(), answer.status, headers)
        self._answer = answer
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
            self._answer.close()


def _url_at(base: str, prefix: str, request: Request) -> URL:
    """The same path and query at the chain node, as they were encoded.

    The route has matched the decoded path. The raw one must begin alike, or what follows could become part of the
    chain node's host: `/chain-api%2F@elsewhere/`.
    """
    raw_path, query = request.scope["raw_path"], request.scope["query_string"]
    if not raw_path.startswith(f"{prefix}/".encode()) or not query.isascii():
        raise NotFound("the chain node has no such path")
    path = raw_path.decode("ascii").partition("?")[0].removeprefix(prefix)
    return URL(f"{base.rstrip('/')}{path}" + (f"?{query.decode('ascii')}" if query else ""), encoded=True)


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    try:
        return await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _away(error) from error
    finally:
        answer.release()


def _away(error: Exception) -> Unavailable:
    log.warning("chain_node_away", reason=f"{type(error).__name__} {error}".rstrip())
    return Unavailable("the chain node does not answer")
