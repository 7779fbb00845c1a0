"""One request over HTTP, straight to whom it is for."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

TIMEOUT_SECONDS = 60
"""Longer than an API node waits for ML nodes that do not answer."""
MAX_ANSWER_BYTES = 64 * 2**20


class Unanswered(Exception):
    """Nobody has answered; why."""


def exchange(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer, whichever status. tls: for https://, in place of the machine's. Raises Unanswered."""
    if not url.startswith(("http://", "https://")):
        raise Unanswered("it is no http:// or https:// address")
    told = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, body, told, method=method)  # noqa: S310  the scheme was looked at
    direct = urllib.request.ProxyHandler({})  # never by way of others
    opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MAX_ANSWER_BYTES)
    except (OSError, ValueError) as error:
        raise Unanswered(str(getattr(error, "reason", error))) from error
