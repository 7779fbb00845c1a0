"""Reading a request's body: bounded in bytes and in time, whatever its headers say."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pivot.api.http.errors import BadRequest, BodyTooLarge

BODY_SECONDS = 30.0
"""A body must be here after this long."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge, BadRequest."""
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
                pieces.append(piece)
                if not message.get("more_body", False):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError:
        raise BadRequest(f"the body was not whole after {BODY_SECONDS:.0f} s") from None
