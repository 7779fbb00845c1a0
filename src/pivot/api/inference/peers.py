"""Other hosts as executors, over HTTP.

A host may be anybody, and say anything: its URL is checked before it is called (`api/urls.py`), every wait and every length
is bounded, and only what a developer may be shown is passed on (weakness A-18).
"""

import asyncio
from typing import Self

import aiohttp

from pivot.api.inference import hop
from pivot.api.inference.engine import READ_AHEAD_BYTES
from pivot.api.inference.parts import Accepted, CandidateFailed, Head, Parts
from pivot.api.inference.payload import payload
from pivot.api.inference.request import Request
from pivot.api.urls import UnsafeUrl, session_to_hosts, url_of
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.parameters import LONGEST_GENERATION_SECONDS

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 3.0
"""Beyond its patience, an executor has this long to say that it accepts."""
SILENCE_SECONDS = 3 * hop.HEARTBEAT_SECONDS
MOST_HEARTBEATS = int(LONGEST_GENERATION_SECONDS / hop.HEARTBEAT_SECONDS) + 1
"""More empty lines than this are a flood."""
MAX_REFUSAL_BYTES = 4_096
STALL_SECONDS = 130.0
"""A stream without a byte for this long is over, or does not begin; the executor gives its engine a little less."""
BUSY = frozenset({429, 503})
_TIMEOUT = aiohttp.ClientTimeout(
    total=LONGEST_GENERATION_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS
)


class Peers:
    """Connections to other hosts."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._http = session_to_hosts(allow_private=allow_private)

    async def answer(self, url: str, request: Request, start: MsgStartInference, patience_s: float) -> Parts:
        """The parts of another host's answer. Raises CandidateFailed before the head, ConnectionError after it."""
        try:
            place = url_of(url, request.path, allow_private=self._allow_private)
        except UnsafeUrl as error:
            raise CandidateFailed(str(error)) from None
        begun = False
        try:
            async with asyncio.timeout(patience_s + ANSWER_SECONDS):
                response = await self._http.post(
                    place,
                    data=payload(request.body),
                    headers=hop.request_headers(start, patience_s),
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                    read_bufsize=READ_AHEAD_BYTES if request.stream else None,
                )
            async with response:
                yield Accepted(await _read_acceptance(response))
                async with asyncio.timeout(STALL_SECONDS if request.stream else None):  # heartbeats are no bytes
                    head = await _read_head(response.content)
                yield head
                begun, given = True, 0
                while piece := await response.content.readany():
                    given += len(piece)
                    if head.length is not None and given > head.length:
                        raise ConnectionError("the executor sent more than it had announced")
                    yield piece
                if head.length is not None and given < head.length:
                    raise ConnectionError("the executor sent less than it had announced")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            sentence = f"{type(error).__name__} {error}".strip()
            if begun:
                raise ConnectionError(sentence) from error
            raise CandidateFailed(sentence) from error

    async def close(self) -> None:
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _read_acceptance(response: aiohttp.ClientResponse) -> str:
    """The executor's acceptance. Raises CandidateFailed with what it said instead."""
    acceptance = response.headers.get(hop.ACCEPTANCE_HEADER)
    if response.status == 200 and response.content_type == hop.ANSWER_TYPE and acceptance:
        return acceptance
    async with asyncio.timeout(SILENCE_SECONDS):
        refusal = (await response.content.read(MAX_REFUSAL_BYTES)).decode(errors="replace")
    raise CandidateFailed(f"{response.status}: {refusal}", busy=response.status in BUSY, refused=True)


async def _read_head(content: aiohttp.StreamReader) -> Head:
    """The line after the heartbeats."""
    for _ in range(MOST_HEARTBEATS):
        async with asyncio.timeout(SILENCE_SECONDS):
            line = await content.readline()
        if len(line) > hop.MAX_HEAD_BYTES or not line:
            raise ValueError("the executor broke off before its answer began")
        if line != hop.HEARTBEAT:
            return hop.read_head(line)
    raise ValueError("the executor sends heartbeats without an end")
