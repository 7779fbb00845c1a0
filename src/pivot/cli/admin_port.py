"""The admin port of an API node as the command line asks it."""

import json
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pivot.cli.output import CommandFailed
from pivot.cli.web import Unanswered, exchange

DEFAULT_URL = "http://127.0.0.1:9200"

Url = Annotated[str, typer.Option("--url", envvar="ADMIN_URL", help="Admin port of the API node.")]
Token = Annotated[
    str, typer.Option("--token", envvar="DAPI_API__ADMIN_TOKEN", help="Bearer token of the admin port, if it has one.")
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        envvar="ADMIN_CERTIFICATE",
        help="Your certificate and its key, in one file (PEM), if the port wants one.",
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="ADMIN_CA", help="Authority (PEM) of the port's certificate; else those of this machine."
    ),
]


class AdminPort:
    """`/admin/v1/…` of one API node. Raises CommandFailed with the node's own sentence, or with why it cannot be asked."""

    def __init__(self, url: str, token: str = "", certificate: Path | None = None, ca: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._tls = tls_context(certificate, ca) if url.startswith("https://") else None
        if self._tls is None and certificate is not None:
            raise CommandFailed(f"{url} is no https:// address (--url, ADMIN_URL): no certificate is shown to it")
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
            status, raw = exchange(url, method, data, self._headers, tls=self._tls)
        except Unanswered as error:
            raise CommandFailed(f"the API node's admin port at {self._url} does not answer: {error}") from error
        try:
            return status, json.loads(raw)
        except ValueError:
            raise CommandFailed(f"what answers at {self._url} is no admin port of an API node ({status})") from None


def tls_context(certificate: Path | None, ca: Path | None) -> ssl.SSLContext:
    """What the port's certificate is judged by, and what is shown to it. Raises CommandFailed."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{ca} holds no authority's certificate (--ca, ADMIN_CA): {error}") from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, password="")  # an encrypted key fails, instead of asking the terminal
        except (OSError, ValueError) as error:
            told = f"{certificate} holds no certificate with its key (--certificate, ADMIN_CERTIFICATE): {error}"
            raise CommandFailed(told) from error
    return context


def node_path(node_id: str, action: str = "") -> str:
    """The path of one ML node, or of something that is done with it."""
    return "/".join(("nodes", quote(node_id, safe=""), *([action] if action else [])))


def refusal(status: int, document: Any) -> str:
    """The sentence of a refusal."""
    told = document.get("error") if isinstance(document, dict) else None
    return str(told or f"the API node answered {status}")
