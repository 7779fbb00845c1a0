"""Answers with a tag of what they say (ETag), so that who has asked before gets 304 and no body when nothing has changed."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pivot.primitives.hashes import sha256

MAX_TAGGED_BYTES = 32 * 2**20
"""What is longer, or has no length, goes out as it comes."""
TAG_CHARACTERS = 32
ANY = "*"


class Tagged:
    """ASGI application around another one, for its successful answers to GET whose whole length is known when they begin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _Answer(send, _asked(scope)))


class _Answer:
    """Holds an answer back until it is whole."""

    def __init__(self, send: Send, known: frozenset[str]) -> None:
        self._send = send
        self._known = known
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_be_tagged(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start, b"".join(self._body))

    async def _finish(self, start: Message, body: bytes) -> None:
        tag = f'"{sha256(body).hex()[:TAG_CHARACTERS]}"'
        headers = [*start["headers"], (b"etag", tag.encode()), (b"cache-control", b"no-cache")]
        if tag in self._known or ANY in self._known:
            start = {**start, "status": int(HTTPStatus.NOT_MODIFIED)}
            headers = [each for each in headers if each[0] not in {b"content-length", b"content-type"}]
            body = b""
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _asked(scope: Scope) -> frozenset[str]:
    """The tags that the client has."""
    given = b",".join(value for name, value in scope["headers"] if name == b"if-none-match").decode("latin-1")
    return frozenset(tag.strip().removeprefix("W/") for tag in given.split(",") if tag.strip())


def _may_be_tagged(start: Message) -> bool:
    headers = dict(start["headers"])
    length = headers.get(b"content-length", b"")
    return start["status"] == HTTPStatus.OK and length.isdigit() and int(length) <= MAX_TAGGED_BYTES
