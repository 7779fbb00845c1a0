"""`/chain-api/…`: the chain's REST gateway through the public port, so that a host needs to open only one."""

import aiohttp
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response
from yarl import URL

from pivot.api.http.body import Shelf, read_body
from pivot.api.http.errors import NotFound, Unavailable
from pivot.api.inference.payload import payload

PREFIX = "/chain-api"
MAX_BODY_BYTES = 2 * 2**20
MAX_BODY_BYTES_UNDER_WAY = 64 * 2**20
"""Of all requests together: anybody may send them."""
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=3)
PASSED_ON = ("accept", "content-type", "x-cosmos-block-height")
PASSED_BACK = ("content-type", "x-cosmos-block-height", "grpc-metadata-x-cosmos-block-height")
"""Headers that mean something to the gateway and its clients; all others are between neighbours."""

log = structlog.get_logger(__name__)


class ChainProxy:
    """Passes GET and POST requests on."""

    def __init__(self, http: aiohttp.ClientSession, rest_url: str) -> None:
        self._http = http
        self._rest_url = rest_url.rstrip("/")
        self._shelf = Shelf(MAX_BODY_BYTES_UNDER_WAY)
        self.router = APIRouter()
        self.router.add_api_route(
            PREFIX + "/{path:path}", self.pass_on, methods=["GET", "POST"], include_in_schema=False
        )

    async def pass_on(self, request: Request) -> Response:
        """One request to the gateway, and its answer."""
        url = self._url(request.scope["raw_path"], request.scope["query_string"])
        with self._shelf.place() as take:
            body = await read_body(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES, take)
            return await self._answer(request, url, body)

    async def _answer(self, request: Request, url: URL, body: bytes) -> Response:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            async with self._http.request(
                request.method,
                url,
                data=payload(body) if body else None,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("gateway_away", reason=f"{type(error).__name__} {error}".rstrip())
            raise Unavailable("the chain's gateway does not answer") from error
        back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
        return Response(content, answer.status, back)

    def _url(self, raw_path: bytes, query: bytes) -> URL:
        """The same path and query at the gateway, as they were encoded.

        The route has matched the decoded path. The raw one must begin alike, or what follows could become part of the
        gateway's host: `/chain-api%2F@elsewhere/`.
        """
        if not raw_path.startswith(f"{PREFIX}/".encode()) or not query.isascii():
            raise NotFound("the gateway has no such path")
        path = raw_path.decode("ascii").partition("?")[0].removeprefix(PREFIX)
        return URL(f"{self._rest_url}{path}" + (f"?{query.decode('ascii')}" if query else ""), encoded=True)
