"""The admin port of an API node as the command line asks it."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pivot.cli.output import CommandFailed
from pivot.cli.web import Unanswered, exchange

DEFAULT_URL = "http://127.0.0.1:9200"


class AdminPort:
    """`/admin/v1/…` of one API node. Raises CommandFailed with the node's own sentence, or with why it cannot be asked."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

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
        data = None if body is None else json.dumps(body).encode()
        try:
            status, raw = exchange(url, method, data, self._headers)
        except Unanswered as error:
            raise CommandFailed(f"the API node's admin port at {self._url} does not answer: {error}") from error
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
