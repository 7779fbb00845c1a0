"""Certificates of both sides (mutual TLS) on the node's ports, and where it calls its network node back."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from pivot.mlnode.settings import MlNodeSettings


class UnusableCertificate(ValueError):
    """A certificate, a key or an authority of the settings cannot be read, or two of them do not belong together."""


@dataclass(frozen=True)
class Tls:
    """What both ports, and calls to https:// addresses, are made with."""

    ports: ssl.SSLContext
    """Lets in whoever shows a certificate by the client CA."""
    calls: ssl.SSLContext
    """Calls whoever shows one, and shows the node's own."""


def tls_of(settings: MlNodeSettings) -> Tls | None:
    """None without a client CA: the ports speak HTTP. Raises UnusableCertificate."""
    if settings.client_ca is None:
        return None
    ports = _context(ssl.Purpose.CLIENT_AUTH, settings.client_ca)
    ports.verify_mode = ssl.CERT_REQUIRED
    made = Tls(ports, _context(ssl.Purpose.SERVER_AUTH, settings.client_ca))
    for context in (made.ports, made.calls):
        _present(context, settings)
    return made


def _context(purpose: ssl.Purpose, authority: Path) -> ssl.SSLContext:
    """Trusts this authority alone."""
    try:
        return ssl.create_default_context(purpose, cafile=authority)
    except (OSError, ValueError) as error:
        raise UnusableCertificate(f"MLNODE_CLIENT_CA: {authority} is no authority's certificate: {error}") from None


def _present(context: ssl.SSLContext, settings: MlNodeSettings) -> None:
    certificate, key = str(settings.tls_certificate), settings.tls_key
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key fails, instead of asking the terminal
    except (OSError, ValueError) as error:
        sentence = f"{certificate} and {key} are no certificate and its key (PEM): {error}"
        raise UnusableCertificate(f"MLNODE_TLS_CERTIFICATE, MLNODE_TLS_KEY: {sentence}") from None
