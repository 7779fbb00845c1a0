"""Pages of other origins: they may ask the public port whatever anybody may.

Nothing here trusts a browser's cookies: who asks for a model brings a key or a signature, and the rest is there for all to read.
"""

from http import HTTPStatus

from pivot.api.http import request_ids
from pivot.api.http.body import Message, Scope, Send

ASKED_METHOD = b"access-control-request-method"
ASKED_HEADERS = b"access-control-request-headers"
ALLOWED = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"x-request-id, x-pivot-executor, x-pivot-inference-id, x-pivot-overhead-ms, retry-after",
    ),
]
"""Of every answer."""
METHODS = b"GET, POST"
REMEMBERED_SECONDS = 86_400
LONGEST_HEADERS = 1_024


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks what it may ask."""
    return scope["method"] == "OPTIONS" and any(name == ASKED_METHOD for name, _ in scope["headers"])


async def allow(scope: Scope, send: Send) -> None:
    """The answer to a browser that asks: yes, with whatever headers it likes."""
    asked = next((value for name, value in scope["headers"] if name == ASKED_HEADERS), b"")[:LONGEST_HEADERS]
    headers = [
        *ALLOWED,
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", asked or b"*"),
        (b"access-control-max-age", str(REMEMBERED_SECONDS).encode()),
    ]
    await send({"type": "http.response.start", "status": int(HTTPStatus.NO_CONTENT), "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def readable(scope: Scope, send: Send) -> Send:
    """Sends an answer that pages may read, under the name of its request."""
    more = [*ALLOWED, (request_ids.HEADER, request_ids.of(dict(scope["headers"])).encode())]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent
