"""Find the remote signer, tmkms (with its software keys), at exactly the version that Pivot was tested with; build it if need be.

In order: on PATH, in Pivot's cache, and `cargo install` of the published crate with its own lock. It is used unmodified.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pivot.node.errors import SignerMissing
from pivot.node.pinned_tool import build, cached, installed

SIGNER = "tmkms"
SIGNER_VERSION = "0.15.0"
SIGNER_FEATURES = "softsign"
BUILD_TIMEOUT_SECONDS = 1800


def find_signer(say: Callable[[str], None] = lambda _: None) -> Path:
    """Path of a tmkms of version SIGNER_VERSION. `say` hears what takes long. Raises SignerMissing."""
    found = installed_signer()
    if found is not None:
        return found
    cargo = shutil.which("cargo")
    if cargo is None:
        raise SignerMissing(
            f"tmkms {SIGNER_VERSION} is not on PATH. Install Rust (which brings cargo), or put the binary on PATH, and try again."
        )
    say(f"Building tmkms {SIGNER_VERSION} with cargo (some minutes, once) …")
    return build_signer(cargo, cached_signer())


def installed_signer() -> Path | None:
    """The tmkms of the right version that this machine has already, if any."""
    return installed(SIGNER, SIGNER_VERSION)


def cached_signer() -> Path:
    """Where Pivot keeps the signer."""
    return cached(SIGNER, SIGNER_VERSION)


def build_signer(cargo: str, target: Path) -> Path:
    """Build the published crate with cargo and put its binary at `target`. Raises SignerMissing with cargo's words."""
    target.parent.mkdir(parents=True, exist_ok=True)
    crate = [SIGNER, "--version", SIGNER_VERSION, f"--features={SIGNER_FEATURES}", "--locked"]
    with tempfile.TemporaryDirectory(dir=target.parent) as root:
        build([cargo, "install", *crate, "--root", root], {}, BUILD_TIMEOUT_SECONDS, SignerMissing)
        (Path(root) / "bin" / SIGNER).replace(target)
    return target
