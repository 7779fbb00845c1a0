"""Reading a request's body: bounded in bytes and in time, whatever its headers say."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from pivot.api.http.errors import BadRequest, BodyTooLarge, TooManyRequests

BODY_SECONDS = 30.0
"""A body must be here after this long."""

IDENTITY = b"identity"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Shelf:
    """Room in memory for the bodies of all requests under way together."""

    def __init__(self, size: int) -> None:
        self._left = size

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """One request's place: it is told of every piece, and raises TooManyRequests when no room is left."""
        taken = 0

        def take(length: int) -> None:
            nonlocal taken
            if length > self._left:
                raise TooManyRequests("as many requests as this node can hold are under way")
            self._left -= length
            taken += length

        try:
            yield take
        finally:
            self._left += taken


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, take: Callable[[int], None] | None = None
) -> bytes:
    """The whole body; `take` is told the length of every piece. Raises BodyTooLarge, BadRequest, and what `take` raises."""
    if headers.get(b"content-encoding", IDENTITY) != IDENTITY:  # a few bytes could become gigabytes
        raise BadRequest("Content-Encoding: bodies are taken as they are, not compressed", param="Content-Encoding")
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"the body has {int(declared)} bytes, at most {limit} are taken")
    pieces: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BadRequest("the connection was closed before the body was whole")
                piece = message.get("body", b"")
                length += len(piece)
                if length > limit:
                    raise BodyTooLarge(f"the body has more than {limit} bytes")
                if take is not None:
                    take(len(piece))
                pieces.append(piece)
                if not message.get("more_body", False):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError:
        raise BadRequest(f"the body was not whole after {BODY_SECONDS:.0f} s") from None
