"""The processes that this one has started, and theirs. Modes exclude each other: they belong to the one that runs, or are parked."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PROCESSES = Path("/proc")


def kill_descendants() -> int:
    """Kill them all. Returns how many there were; 0 where the kernel keeps no account of them (only Linux does)."""
    found = _descendants(os.getpid())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _descendants(pid: int) -> list[int]:
    """Children before their own children: who restarts them goes first."""
    found = [pid]
    for each in found:  # grows while it is walked
        found += _children(each)
    return found[1:]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for listed in (PROCESSES / str(pid) / "task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, listed.read_text().split())
    return children
