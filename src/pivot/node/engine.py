"""Find the consensus engine, CometBFT, at exactly the version that Pivot was tested with; fetch or build it if need be.

In order: on PATH, in Pivot's cache, the project's release (only against a checksum that the operator has pinned in
`PIVOT_ENGINE_SHA256`), and `go install` of the same tag, whose sources Go checks against its own checksum database.
"""

import hashlib
import io
import os
import platform
import shutil
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pivot.node.errors import EngineMissing
from pivot.node.pinned_tool import build, cached, install, installed

ENGINE = "cometbft"
ENGINE_VERSION = "0.38.26"
ENGINE_MODULE = f"github.com/cometbft/cometbft/cmd/cometbft@v{ENGINE_VERSION}"
RELEASE_URL = (
    "https://github.com/cometbft/cometbft/releases/download/"
    f"v{ENGINE_VERSION}/cometbft_{ENGINE_VERSION}_{{system}}_{{machine}}.tar.gz"
)
CHECKSUM_VARIABLE = "PIVOT_ENGINE_SHA256"
MAX_RELEASE_BYTES = 200 * 2**20
BUILD_TIMEOUT_SECONDS = 900
DOWNLOAD_TIMEOUT_SECONDS = 120
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_engine(say: Callable[[str], None] = lambda _: None) -> Path:
    """Path of a CometBFT of version ENGINE_VERSION. `say` hears what takes long. Raises EngineMissing."""
    found = installed_engine()
    if found is not None:
        return found
    target = cached_engine()
    target.parent.mkdir(parents=True, exist_ok=True)
    checksum = os.environ.get(CHECKSUM_VARIABLE)
    if checksum:
        say(f"Fetching CometBFT v{ENGINE_VERSION} …")
        return fetch_release(release_url(), checksum, target)
    go = shutil.which("go")
    if go is None:
        raise EngineMissing(
            f"CometBFT v{ENGINE_VERSION} is not on PATH. Install Go, or put the binary on PATH, or set {CHECKSUM_VARIABLE} "
            f"to the SHA-256 of {release_url()} and try again."
        )
    say(f"Building CometBFT v{ENGINE_VERSION} with Go (a minute, once) …")
    return build_engine(go, target)


def installed_engine() -> Path | None:
    """The CometBFT of the right version that this machine has already, if any."""
    return installed(ENGINE, ENGINE_VERSION, _go_bin() / ENGINE)


def cached_engine() -> Path:
    """Where Pivot keeps the engine."""
    return cached(ENGINE, ENGINE_VERSION)


def release_url() -> str:
    """Address of the project's release for this machine."""
    machine = platform.machine().lower()
    return RELEASE_URL.format(system=platform.system().lower(), machine=_MACHINES.get(machine, machine))


def fetch_release(url: str, checksum: str, target: Path) -> Path:
    """Download a release, compare its SHA-256, and put its binary at `target`. Raises EngineMissing."""
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:  # noqa: S310  the URL is our constant
            archive = answer.read(MAX_RELEASE_BYTES)
    except OSError as error:
        raise EngineMissing(f"{url} could not be fetched: {error}") from error
    found = hashlib.sha256(archive).hexdigest()
    if found != checksum.lower():
        raise EngineMissing(f"{url} has SHA-256 {found}, not {checksum}: it is not the release that was pinned")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = files.extractfile(ENGINE)
        if member is None:
            raise EngineMissing(f"{url} holds no file named {ENGINE}")
        install(member.read(), target)
    return target


def build_engine(go: str, target: Path) -> Path:
    """Build the pinned tag with Go into `target`. Raises EngineMissing with Go's words."""
    environment = {"GOBIN": str(target.parent), "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    build([go, "install", ENGINE_MODULE], environment, BUILD_TIMEOUT_SECONDS, EngineMissing)
    return target


def _go_bin() -> Path:
    return Path(os.environ.get("GOBIN") or Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin")


if __name__ == "__main__":
    find_engine(lambda line: print(line, file=sys.stderr))
