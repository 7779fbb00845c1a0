"""The response to one question, on the raw connection."""

import time
from http import HTTPStatus

import orjson

from pivot.api.http import cross_origin, request_ids
from pivot.api.http.body import Scope, Send
from pivot.api.http.errors import ApiError, error_headers, error_object
from pivot.api.inference import hop, sse
from pivot.api.inference.parts import EVENT_STREAM, Accepted, Chosen, Head, Part

EXECUTOR_HEADER = b"x-pivot-executor"
INFERENCE_ID_HEADER = b"x-pivot-inference-id"
OVERHEAD_HEADER = b"x-pivot-overhead-ms"
"""Milliseconds that this host took beside the executor, up to the head of the answer."""
_STREAM_HEADERS = [
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies of the nginx family hold streams back otherwise
]


async def turn_away(scope: Scope, send: Send, refusal: ApiError) -> None:
    """Refuse a request before anything of it is read; the connection ends."""
    body = refusal.body()
    headers = [
        *cross_origin.ALLOWED,
        (request_ids.HEADER, request_ids.of(dict(scope["headers"])).encode()),
        *error_headers(refusal),
        (b"connection", b"close"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Answer:
    """The response to one request."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [*cross_origin.ALLOWED, (request_ids.HEADER, request_id.encode())]
        self._received_s = time.perf_counter()
        self.begun = False
        self._content_type = ""

    async def give(self, part: Part) -> None:
        """Pass a head or bytes on; note who answers."""
        if isinstance(part, bytes):
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        elif isinstance(part, Head):
            self._content_type = part.content_type
            headers = (
                _STREAM_HEADERS
                if part.content_type == EVENT_STREAM
                else [(b"content-type", part.content_type.encode())]
            )
            if part.length is not None:
                headers = [*headers, (b"content-length", str(part.length).encode())]
            await self._begin(part.status, headers)
        elif isinstance(part, Chosen):
            self._name(part)

    async def accept(self, accepted: Accepted) -> None:
        """Tell the transfer agent that this host takes the request."""
        signature = (hop.ACCEPTANCE_HEADER.lower().encode(), accepted.signature.encode())
        await self._begin(HTTPStatus.OK, [(b"content-type", hop.ANSWER_TYPE.encode()), signature])

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, refusal: ApiError) -> None:
        """The whole response is an error."""
        if self.begun:
            await self.break_off(refusal.message)
            return
        body = refusal.body()
        await self._begin(refusal.status, [*error_headers(refusal), (b"content-length", str(len(body)).encode())])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def break_off(self, reason: str) -> None:
        """An answer that has begun cannot be finished: a stream says so in an event.

        Anything else is left as it is; the server closes the connection behind an answer that is not complete.
        """
        if self._content_type != EVENT_STREAM:
            return
        error = error_object(reason, "server_error", None, "answer_broke_off")
        await self.write(sse.event(orjson.dumps(error)))
        await self.end()

    def _name(self, chosen: Chosen) -> None:
        overhead_ms = (time.perf_counter() - self._received_s - chosen.waited_s) * 1000
        self._headers += [
            (EXECUTOR_HEADER, chosen.executor.encode()),
            (INFERENCE_ID_HEADER, chosen.inference_id.encode()),
            (OVERHEAD_HEADER, f"{overhead_ms:.2f}".encode()),
        ]

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun = True
        headers = [*headers, *self._headers]
        await self._send({"type": "http.response.start", "status": int(status), "headers": headers})
