"""A request on its way to an instance: what is passed on of it, and what is not."""

from __future__ import annotations

import re
from http import HTTPMethod

LOOPBACK = "127.0.0.1"
VERSION_PREFIX = re.compile(rb"/v[0-9]+(?:\.[0-9]+)+(?:[-+][0-9A-Za-z.]+)?(?=/)")
"""`/v3.0.8/…`, as gateways of the published deployment write it; `/v1/…` is none."""
NAME = re.compile(rb"[A-Za-z0-9._:-]{1,200}")
NOT_PASSED_ON = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
PATHS = frozenset(
    {b"/health", b"/ping", b"/metrics", b"/version", b"/load", b"/tokenize", b"/detokenize", b"/openapi.json", b"/docs"}
)
API_PREFIX = b"/v1/"
"""These and no others are passed on. An engine has further routes that end others' requests or move its processes (vLLM's
`/inference/v1/abort_requests`, `/scale_elastic_ep`), and who reaches this port should not reach them."""


class Request:
    """A request as it was read."""

    __slots__ = ("body", "headers", "keep_alive", "method", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.keep_alive = True
        self.size = 0
        """Bytes of its head."""

    @property
    def only_head(self) -> bool:
        """Whether the client wants no body back. Instances know no HEAD: they are asked with GET."""
        return self.method == HTTPMethod.HEAD.encode()

    @property
    def name(self) -> str:
        """What its client calls it (`X-Request-Id`), as far as that is a name."""
        given = next((value for name, value in self.headers if name.lower() == b"x-request-id"), b"")
        return given.decode("ascii") if NAME.fullmatch(given) else "without a name"

    @property
    def passes(self) -> bool:
        """Whether its path is one that is passed on."""
        path = self.target.partition(b"?")[0]
        return path in PATHS or path.startswith(API_PREFIX)

    def strip_version(self) -> None:
        """Take a version's prefix off."""
        if prefix := VERSION_PREFIX.match(self.target):
            self.target = self.target[prefix.end() :]

    def forwarded(self) -> bytes:
        """The request as an instance gets it: without what concerns this connection alone."""
        method = HTTPMethod.GET.encode() if self.only_head else self.method
        lines = [b"%b %b HTTP/1.1" % (method, self.target), b"host: " + LOOPBACK.encode()]
        lines += [b"%b: %b" % pair for pair in self.headers if pair[0].lower() not in NOT_PASSED_ON]
        lines.append(b"content-length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", bytes(self.body)])
