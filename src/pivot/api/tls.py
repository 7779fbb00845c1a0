"""Certificates of both sides (mutual TLS) on the ports that are not for the public, and between this node and its ML nodes."""

import ssl
from pathlib import Path

import aiohttp

from pivot.api.fleet.sockets import kept_alive
from pivot.api.settings import HttpSettings


class UnusableCertificate(ValueError):
    """A certificate, a key or an authority of the settings cannot be read, or two of them do not belong together."""


def server_context(settings: HttpSettings, client_ca: Path | None) -> ssl.SSLContext | None:
    """For a port that only those are let in to whose certificates are by `client_ca`; None without one: it speaks HTTP.

    Raises UnusableCertificate.
    """
    if client_ca is None:
        return None
    context = _context(ssl.Purpose.CLIENT_AUTH, client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    _present(context, settings)
    return context


def client_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """For calls to ML nodes at https:// addresses, whose certificates are by `ml_client_ca`; None without one.

    Raises UnusableCertificate.
    """
    if settings.ml_client_ca is None:
        return None
    context = _context(ssl.Purpose.SERVER_AUTH, settings.ml_client_ca)
    _present(context, settings)
    return context


def session_to_ml_nodes(settings: HttpSettings) -> aiohttp.ClientSession:
    """A client for this host's own ML nodes. Connections are not limited: requests under way are bounded where they begin.

    Nothing is decompressed: a few bytes of a node that was taken over could become gigabytes. Raises UnusableCertificate.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=client_context(settings) or True, socket_factory=kept_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )


def _context(purpose: ssl.Purpose, authority: Path) -> ssl.SSLContext:
    """Trusts this authority alone."""
    try:
        return ssl.create_default_context(purpose, cafile=authority)
    except (OSError, ValueError) as error:
        raise UnusableCertificate(f"{authority} holds no authority's certificate (PEM): {error}") from None


def _present(context: ssl.SSLContext, settings: HttpSettings) -> None:
    """Let the other side see this node's certificate."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        raise UnusableCertificate("there is no certificate to present: api.tls_certificate and api.tls_key are not set")
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key fails, instead of asking the terminal
    except (OSError, ValueError) as error:
        raise UnusableCertificate(f"{certificate} and {key} are no certificate and its key (PEM): {error}") from None
