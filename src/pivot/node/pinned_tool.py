"""Programs of other projects, unmodified, at exactly the versions that Pivot was tested with: found, or built from their sources."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pivot.node.errors import NodeError

VERSION_TIMEOUT_SECONDS = 20
BINARY_MODE = 0o755


def cached(name: str, version: str) -> Path:
    """Where Pivot keeps the program."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pivot" / f"{name}-{version}" / name


def installed(name: str, version: str, *others: Path) -> Path | None:
    """The program of this version that the machine has already, if any: on PATH, in Pivot's cache, or in one of the others."""
    on_path = shutil.which(name)
    candidates = [*([Path(on_path)] if on_path else []), cached(name, version), *others]
    return next((candidate for candidate in candidates if _version(candidate) == version), None)


def build(
    command: Sequence[str], environment: Mapping[str, str], timeout_seconds: float, missing: type[NodeError]
) -> None:
    """Run a build with these variables besides this process's. Raises `missing`, with the build's own words."""
    told = f"{Path(command[0]).name} {' '.join(command[1:])}"
    try:
        subprocess.run(
            command,
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
    except subprocess.CalledProcessError as error:
        raise missing(f"{told} failed:\n{error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise missing(f"{told} took longer than {timeout_seconds:.0f} s") from error


def install(binary: bytes, target: Path) -> None:
    """Write the binary in one step, so that a second process never finds half of it."""
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(binary)
    partial.chmod(BINARY_MODE)
    partial.replace(target)


def _version(binary: Path) -> str | None:
    if not binary.is_file():
        return None
    try:
        answer = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().removeprefix("v").partition("+")[0]
