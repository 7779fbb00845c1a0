"""The nodes of a run among themselves: differences go to rank 0, their mean comes back, over mutual TLS.

Every node makes a key and a certificate of its own for each run, and never shows the key. Certificates are exchanged
through the network's store, where each record names the host that wrote it; a connection counts only when it shows the
very certificate of the rank that it claims. So there is no key that two runs share, or that anybody knows beforehand.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pivot.mlnode.training.tiny_model import Floats

GATHERING_S = 120.0
"""How long rank 0 waits for the others' connections; those that have not come by then are left out."""
SILENCE_S = 60.0
"""How long rank 0 waits for all differences of a step; a node whose own has not come whole by then is left out from then on."""
LEAST_S = 1.0
"""What is left of it for those behind one that was silent: what they have sent lies here."""
CONNECT_S = 5.0
RETRY_S = 0.2
VALIDITY = dt.timedelta(days=30)
CLOCK_TOLERANCE = dt.timedelta(days=1)
COMMON_NAME_LENGTH = 64


class PeersLost(Exception):
    """There is nobody left to train with."""


class Credentials:
    """Key and certificate of this node for one run."""

    def __init__(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[-COMMON_NAME_LENGTH:])])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_TOLERANCE)
            .not_valid_after(now + VALIDITY)
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self._key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def context(self, *, server: bool, trusted: Iterable[str]) -> ssl.SSLContext:
        """TLS 1.3 with these credentials, towards these certificates and no others. Raises OSError when one is none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # the certificate itself is known, whatever address shows it
        context.verify_mode = ssl.CERT_REQUIRED
        for certificate in trusted:
            context.load_verify_locations(cadata=_der(certificate))
        with tempfile.TemporaryDirectory() as folder:  # readable by its owner only
            path = Path(folder) / "credentials.pem"
            path.write_bytes(self._key + self.certificate.encode())
            context.load_cert_chain(path)
        return context


class Hub:
    """Rank 0: gathers the differences of all, and gives each their mean."""

    def __init__(self, credentials: Credentials, address: str, port: int, certificates: Mapping[int, str]) -> None:
        """`certificates` of the other ranks; one that cannot be read lets nobody in. Raises OSError."""
        readable = {rank: certificate for rank, certificate in certificates.items() if _is_readable(certificate)}
        self._context = credentials.context(server=True, trusted=readable.values())
        self._ranks = {_der(certificate): rank for rank, certificate in readable.items()}
        self._listening = _listen(address, port)
        self._spokes: dict[int, ssl.SSLSocket] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    @property
    def present(self) -> list[int]:
        """The ranks that take part, in order."""
        return [0, *sorted(self._spokes)]

    def gather(self) -> None:
        """Wait for the other ranks' connections. Raises PeersLost when none comes."""
        deadline = time.monotonic() + GATHERING_S
        while len(self._spokes) < len(self._ranks) and (left := deadline - time.monotonic()) > 0:
            self._listening.settimeout(left)
            with contextlib.suppress(OSError):
                self._admit(self._listening.accept()[0])
        if self._ranks and not self._spokes:
            raise PeersLost(f"no other node has connected within {GATHERING_S:.0f} s")

    def mean(self, difference: Floats) -> Floats:
        """The mean of all that take part, in the order of their ranks. Raises PeersLost when nobody is left."""
        given = [difference]
        deadline = time.monotonic() + SILENCE_S
        for rank, spoke in sorted(self._spokes.items()):
            try:
                given.append(_receive(spoke, len(difference), max(LEAST_S, deadline - time.monotonic())))
            except (OSError, ValueError) as error:
                self._leave_out(rank, error)
        if self._ranks and not self._spokes:
            raise PeersLost("all other nodes are gone")
        mean = np.asarray(np.sum(given, axis=0, dtype=np.float32) / np.float32(len(given)), np.float32)
        for rank, spoke in sorted(self._spokes.items()):
            try:
                spoke.settimeout(SILENCE_S)
                spoke.sendall(mean.astype("<f4").tobytes())
            except OSError as error:
                self._leave_out(rank, error)
        return mean

    def close(self) -> None:
        """End all connections."""
        for spoke in self._spokes.values():
            spoke.close()
        self._listening.close()

    def _admit(self, connection: socket.socket) -> None:
        """Take a connection for the rank whose certificate it shows; a stranger's ends here."""
        connection.settimeout(CONNECT_S)
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except (OSError, ValueError):
            connection.close()
            return
        rank = self._ranks.get(secured.getpeercert(binary_form=True) or b"")
        if rank is None or rank in self._spokes:
            secured.close()
            return
        self._spokes[rank] = secured

    def _leave_out(self, rank: int, error: Exception) -> None:
        print(f"rank {rank} is left out from here on: {error}", flush=True)  # noqa: T201  a job's log is its output
        self._spokes.pop(rank).close()


class Spoke:
    """Any other rank: sends its difference to rank 0 and takes the mean."""

    def __init__(self, credentials: Credentials, address: str, port: int, certificate: str) -> None:
        """Connects to rank 0, which has this certificate. Raises PeersLost."""
        if not _is_readable(certificate):
            raise PeersLost("rank 0 has shown a certificate that cannot be read")
        context = credentials.context(server=False, trusted=[certificate])
        deadline = time.monotonic() + GATHERING_S
        while True:
            try:
                connection = socket.create_connection((address, port), CONNECT_S)
                self._socket = context.wrap_socket(connection)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise PeersLost(f"rank 0 at {address}:{port} cannot be reached: {error}") from error
                time.sleep(RETRY_S)
                continue
            return

    def mean(self, difference: Floats) -> Floats:
        """The mean of all that take part. Raises PeersLost."""
        try:
            self._socket.settimeout(SILENCE_S)
            self._socket.sendall(difference.astype("<f4").tobytes())
            return _receive(self._socket, len(difference), GATHERING_S + SILENCE_S)
        except (OSError, ValueError) as error:
            raise PeersLost(f"rank 0 is gone: {error}") from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _listen(address: str, port: int) -> socket.socket:
    """Listen at the address that others use, or, where it is a router's, on all of this machine's."""
    try:
        return socket.create_server((address, port))
    except OSError:
        return socket.create_server(("", port))


def _receive(connection: ssl.SSLSocket, length: int, patience_s: float) -> Floats:
    """So many float32 values, little-endian, all finite. Raises OSError, ValueError."""
    wanted, deadline = 4 * length, time.monotonic() + patience_s
    raw = bytearray()
    while len(raw) < wanted:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError(f"it has sent {len(raw)} of {wanted} bytes in {patience_s:.0f} s")
        connection.settimeout(left)
        piece = connection.recv(wanted - len(raw))
        if not piece:
            raise OSError("the connection was closed")
        raw += piece
    values = np.frombuffer(raw, "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("it sent numbers that are not finite")
    return values


def _is_readable(certificate: str) -> bool:
    """Whether this is a certificate at all: who shows one may show anything."""
    try:
        x509.load_der_x509_certificate(_der(certificate))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_der(certificate))
    except (OSError, ValueError):
        return False
    return True


def _der(certificate: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate)
