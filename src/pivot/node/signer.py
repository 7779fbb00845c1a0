"""Find the remote signer, tmkms (with its software keys), at exactly the version that Pivot was tested with; build it if need be.

In order: on PATH, in Pivot's cache, and `cargo install` of the published crate with its own lock. It is used unmodified.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from pivot.node.errors import SignerMissing

SIGNER_VERSION = "0.15.0"
SIGNER_FEATURES = "softsign"
VERSION_TIMEOUT_SECONDS = 20
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
    return build(cargo, cached_signer())


def installed_signer() -> Path | None:
    """The tmkms of the right version that this machine has already, if any."""
    on_path = shutil.which("tmkms")
    for candidate in [*([Path(on_path)] if on_path else []), cached_signer()]:
        if _version(candidate) == SIGNER_VERSION:
            return candidate
    return None


def cached_signer() -> Path:
    """Where Pivot keeps the signer."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pivot" / f"tmkms-{SIGNER_VERSION}" / "tmkms"


def build(cargo: str, target: Path) -> Path:
    """Build the published crate with cargo and put its binary at `target`. Raises SignerMissing with cargo's words."""
    target.parent.mkdir(parents=True, exist_ok=True)
    crate = ["tmkms", "--version", SIGNER_VERSION, f"--features={SIGNER_FEATURES}", "--locked"]
    with tempfile.TemporaryDirectory(dir=target.parent) as root:
        try:
            subprocess.run(
                [cargo, "install", *crate, "--root", root],
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise SignerMissing(f"cargo install {' '.join(crate)} failed:\n{error.stderr.strip()}") from error
        except subprocess.TimeoutExpired as error:
            raise SignerMissing(f"cargo install {' '.join(crate)} took longer than {error.timeout:.0f} s") from error
        (Path(root) / "bin" / "tmkms").replace(target)
    return target


def _version(binary: Path) -> str | None:
    if not binary.is_file():
        return None
    try:
        answer = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
