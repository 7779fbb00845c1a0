"""The admin port of an API node as the command line asks it."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pivot.cli.output import CommandFailed

DEFAULT_URL = "http://127.0.0.1:9200"
TIMEOUT_SECONDS = 60
"""Longer than the API node waits for ML nodes that do not answer."""
MAX_ANSWER_BYTES = 64 * 2**20


class AdminPort:
    """`/admin/v1/…` of one API node. Raises CommandFailed with the node's own sentence, or with why it cannot be asked."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of others

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a 2xx answer."""
        status, document = self.ask(method, path, body)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise CommandFailed(refusal(status, document))
        return document

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of any answer."""
        url = f"{self._url}/admin/v1/{path}"
        if not url.startswith(("http://", "https://")):
            raise CommandFailed(f"{self._url} is no http:// or https:// address (--url, ADMIN_URL)")
        headers = {**self._headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  the scheme was looked at
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                status, raw = answer.status, answer.read(MAX_ANSWER_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read(MAX_ANSWER_BYTES)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise CommandFailed(f"the API node's admin port at {self._url} does not answer: {why}") from error
        try:
            return status, json.loads(raw)
        except ValueError:
            raise CommandFailed(f"what answers at {self._url} is no admin port of an API node ({status})") from None


def node_path(node_id: str, action: str = "") -> str:
    """The path of one ML node, or of something that is done with it."""
    return "/".join(("nodes", quote(node_id, safe=""), *([action] if action else [])))


def refusal(status: int, document: Any) -> str:
    """The sentence of a refusal."""
    told = document.get("error") if isinstance(document, dict) else None
    return str(told or f"the API node answered {status}")
