"""A request to an ML node's inference port, and its answer.

The node's engine is any OpenAI-compatible server that knows vLLM's additions (`return_token_ids`, `top_logprobs`).
"""

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import aiohttp
import orjson
import structlog

from pivot.api.fleet.interface import NodeFault
from pivot.api.http.errors import error_object
from pivot.api.inference import hop
from pivot.api.inference.parts import EVENT_STREAM
from pivot.api.inference.payload import payload
from pivot.api.inference.request import MAX_TOP_LOGPROBS, Request
from pivot.primitives.hashes import sha256
from pivot.protocol.parameters import LONGEST_GENERATION_SECONDS

_SECRET = secrets.token_bytes(32)

CONNECT_SECONDS = 2.0
PROBE_AFTER_SECONDS = 2.0
"""A node that has not begun to answer after this long is asked whether it lives, again and again."""
PROBE_SECONDS = 2.0
BYTES_PER_TOKEN = 8_192
"""Of an answer, at most: the token, MAX_TOP_LOGPROBS others, the bytes of each, and the event around them."""
BYTES_PER_PROMPT_TOKEN = 16
"""Of an answer, which names the prompt's tokens."""
BYTES_BESIDE_TOKENS = 2**20
READ_AHEAD_BYTES = 16 * 2**10
"""Of a stream whose developer takes its pieces more slowly than they come; at twice as many the engine waits."""
STALL_SECONDS = 120.0
"""A stream without a byte for this long is over."""
CLIENT_ERRORS = frozenset({400, 413, 422})
"""What an engine says when the request itself is at fault; every other error is the node's."""
TOO_LONG = "context_length_exceeded"
"""OpenAI's code for what is longer than the model's context."""
_TOO_LONG = re.compile(r"maximum (context|model) length|max_model_len", re.IGNORECASE)
"""How vLLM says it; it has no code of its own."""
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_WHOLE_TIMEOUT = aiohttp.ClientTimeout(total=LONGEST_GENERATION_SECONDS, sock_connect=CONNECT_SECONDS)
_STREAM_TIMEOUT = aiohttp.ClientTimeout(
    total=LONGEST_GENERATION_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS
)
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=PROBE_SECONDS)


class EngineFailed(NodeFault):
    """The engine answered with an error that is not the request's fault. Another node may do better."""


class NodeLost(ConnectionError, NodeFault):
    """The node cannot be reached, hangs, or broke off. The fleet sets it aside."""


@dataclass
class EngineAnswer:
    """An answer of which at least the first bytes are here."""

    response: aiohttp.ClientResponse
    first: bytes
    left: int
    """Bytes that may still come."""

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def is_stream(self) -> bool:
        return self.response.content_type == EVENT_STREAM

    def close(self) -> None:
        """Let the connection go; before the answer's end this stops the engine's work."""
        if not self.response.content.at_eof():
            self.response.close()

    async def more(self) -> bytes:
        """The next bytes of a stream, empty at its end. Raises NodeLost, and EngineFailed for a stream without an end."""
        try:
            piece = await self.response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NodeLost(f"the node broke off: {error or type(error).__name__}") from error
        self.left -= len(piece)
        _require_within(self.left)
        return piece


def seed_of(inference_id: str) -> int:
    """The seed of a request that names none. No developer can try signatures until one has a text that makes this host look a fraud."""
    return int.from_bytes(sha256(_SECRET + inference_id.encode())[:4]) >> 1


def engine_body(request: Request, max_tokens: int, seed: int, *, stream: bool) -> bytes:
    """The body for the engine: as the developer sent it, with what checking and accounting need (design, section 7).

    stream: whether the engine shall stream, which the developer need not have asked for.
    """
    document = dict(request.document)
    if request.is_chat:
        document["logprobs"] = True
        document["top_logprobs"] = MAX_TOP_LOGPROBS
        document["max_completion_tokens"] = max_tokens
    else:
        document["logprobs"] = MAX_TOP_LOGPROBS
        document.pop("max_completion_tokens", None)
    document["max_tokens"] = max_tokens
    document["return_token_ids"] = True
    document["seed"] = seed
    if stream:
        document["stream"] = True
        document["stream_options"] = {**(document.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(document)


def longest_answer(prompt_tokens: int, max_tokens: int) -> int:
    """What an answer of so many tokens at most can be long; an engine that writes more has failed."""
    return BYTES_BESIDE_TOKENS + prompt_tokens * BYTES_PER_PROMPT_TOKEN + max_tokens * BYTES_PER_TOKEN


def client_error(raw: bytes) -> bytes:
    """An engine's complaint about the request as an OpenAI error object; engines have written it in several ways."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = {"message": raw.decode(errors="replace")}
    inner = document.get("error", document) if isinstance(document, dict) else {"message": str(document)}
    if isinstance(inner, str):
        inner = {"message": inner}
    message = str(inner.get("message") or inner.get("detail") or "the engine refused the request")
    too_long = inner.get("code") == TOO_LONG or _TOO_LONG.search(message)
    code = TOO_LONG if too_long else "refused_by_engine"
    return orjson.dumps(error_object(message, "invalid_request_error", inner.get("param"), code))


@asynccontextmanager
async def ask(
    http: aiohttp.ClientSession,
    inference_url: str,
    path: str,
    body: bytes,
    *,
    most_bytes: int,
    stream: bool,
) -> AsyncGenerator[EngineAnswer, None]:
    """The engine's answer at one of `request.PATHS`, as soon as its first bytes are here.

    Raises NodeLost, or EngineFailed for a 5xx and the like, and for more than `most_bytes`.
    Leaving the context early closes the connection, which stops the engine's work.
    """
    try:
        with _WhileAlive(http, inference_url):
            answer = await _post(http, inference_url + path, body, most_bytes=most_bytes, stream=stream)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NodeLost(f"no answer from {inference_url}: {error or type(error).__name__}") from error
    try:
        if answer.status != 200 and answer.status not in CLIENT_ERRORS:
            raise EngineFailed(
                f"the engine answered with {answer.status}: {answer.first[:300].decode(errors='replace')}"
            )
        yield answer
    finally:
        answer.close()


class _WhileAlive:
    """A node that has not begun to answer is asked whether it lives, again and again; if not, waiting ends with what its probe raised."""

    def __init__(self, http: aiohttp.ClientSession, inference_url: str) -> None:
        self._http = http
        self._inference_url = inference_url
        self._probing: asyncio.Task[None] | None = None
        self._fault: OSError | aiohttp.ClientError | None = None

    def __enter__(self) -> None:
        self._waiting = cast("asyncio.Task[object]", asyncio.current_task())
        self._timer = asyncio.get_running_loop().call_later(PROBE_AFTER_SECONDS, self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._probing is not None:
            self._probing.cancel()
        if self._fault is not None and self._waiting.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._fault

    def _begin(self) -> None:
        self._probing = asyncio.ensure_future(self._probe())

    async def _probe(self) -> None:
        try:
            while True:
                await _require_alive(self._http, self._inference_url)
                await asyncio.sleep(PROBE_AFTER_SECONDS)
        except (aiohttp.ClientError, OSError) as fault:
            self._fault = fault
            self._waiting.cancel()


async def _post(http: aiohttp.ClientSession, url: str, body: bytes, *, most_bytes: int, stream: bool) -> EngineAnswer:
    timeout = _STREAM_TIMEOUT if stream else _WHOLE_TIMEOUT
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    headers = {**_HEADERS, **hop.named(request_id)} if request_id else _HEADERS
    response = await http.post(url, data=payload(body), headers=headers, timeout=timeout, allow_redirects=False)
    try:
        is_stream = response.status == 200 and response.content_type == EVENT_STREAM
        first = await (response.content.readany() if is_stream else read_whole(response, most_bytes))
        return EngineAnswer(response, first, most_bytes - len(first))
    except BaseException:
        response.close()
        raise


async def read_whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """An answer's body. Raises EngineFailed for a longer one, and what aiohttp raises."""
    pieces: list[bytes] = []
    left = most_bytes
    async for piece in response.content.iter_any():
        left -= len(piece)
        _require_within(left)
        pieces.append(piece)
    return b"".join(pieces)


def _require_within(left: int) -> None:
    if left < 0:
        raise EngineFailed("the engine writes more than its tokens can be long")


async def _require_alive(http: aiohttp.ClientSession, inference_url: str) -> None:
    """A hung process takes connections but does not answer `/health`."""
    async with http.get(f"{inference_url}/health", timeout=_PROBE_TIMEOUT, allow_redirects=False) as answer:
        if answer.status != 200:
            raise NodeLost(f"{inference_url}/health says {answer.status}")
