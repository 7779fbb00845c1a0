"""The TLS proxy of deploy/join as a process of this machine: the shipped Caddyfile, with this machine's places in it."""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.deploy.compose import DEPLOY
from tests.e2e.network import free_port, until

CADDYFILE = DEPLOY / "join" / "Caddyfile"
COMPOSE_FILE = DEPLOY / "join" / "docker-compose.proxy.yml"
[VERSION] = re.findall(r"image: docker.io/library/caddy:([\d.]+)-", COMPOSE_FILE.read_text())
MODULE = f"github.com/caddyserver/caddy/v2/cmd/caddy@v{VERSION}"
UNKNOWN_VERSION = "unknown"
"""What a Caddy says that was built by `go install`."""
SERVER_NAME = "localhost"
START_SECONDS = 30


def find_caddy() -> str | None:
    """Caddy on PATH, or where `go install` puts it."""
    return shutil.which("caddy") or shutil.which("caddy", path=Path.home() / "go" / "bin")


def why_not() -> str:
    """What keeps the proxy from running here; empty if nothing does."""
    caddy = find_caddy()
    if caddy is None:
        return f"caddy is not on this machine: `go install {MODULE}`"
    told = subprocess.run([caddy, "version"], capture_output=True, text=True, check=False).stdout.strip()
    if told != UNKNOWN_VERSION and not told.removeprefix("v").startswith(VERSION):
        return f"{caddy} is of version {told}, not {VERSION}: `go install {MODULE}`"
    if shutil.which("openssl") is None:
        return "openssl is not on this machine"
    return ""


@dataclass(frozen=True)
class Proxy:
    """Where the proxy answers, and how a client is told to trust its certificate."""

    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://{SERVER_NAME}:{self.port}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def session(self) -> aiohttp.ClientSession:
        """A client that believes this certificate and no other."""
        connector = aiohttp.TCPConnector(ssl=self.trust())
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))


def make_certificate(folder: Path, server_name: str = SERVER_NAME) -> Path:
    """`cert.pem` and `private.key` in a folder, as SSL_CERT_SOURCE names it."""
    folder.mkdir(parents=True, exist_ok=True)
    subject = ["-subj", f"/CN={server_name}", "-addext", f"subjectAltName=DNS:{server_name}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "private.key")]
    command = ["openssl", "req", "-x509", "-days", "2", *subject, *key, "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem"


@asynccontextmanager
async def proxy_before(api_url: str, folder: Path) -> AsyncIterator[Proxy]:
    """Caddy before the public port of an API node, which is at `api_url`."""
    proxy = Proxy(free_port(), make_certificate(folder / "tls"))
    replaced = {"api:9000": api_url.removeprefix("http://"), "8443": str(proxy.port), "/tls/": f"{folder}/tls/"}
    text = CADDYFILE.read_text()
    for shipped, here in replaced.items():
        assert shipped in text
        text = text.replace(shipped, here)
    (folder / "Caddyfile").write_text(text)
    caddy = find_caddy()
    assert caddy is not None
    environment = {
        **os.environ,
        "SERVER_NAME": SERVER_NAME,
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    command = [caddy, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:

        async def listens() -> bool:
            assert process.returncode is None, (folder / "caddy.log").read_text()
            async with proxy.session() as http:
                try:
                    async with http.get(f"{proxy.url}/health"):
                        return True
                except aiohttp.ClientConnectionError:
                    return False

        await until(listens, START_SECONDS)
        yield proxy
    finally:
        process.terminate()
        await process.wait()
