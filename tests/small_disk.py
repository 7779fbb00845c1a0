"""A disk of a few MiB, to be filled: a file system in memory, mounted for as long as a test lasts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def why_none() -> str:
    """Why this machine can mount none; empty when it can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a disk is mounted by root on Linux"
    return ""


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The folder `disk` in `folder`, with so much room."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
