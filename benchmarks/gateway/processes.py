"""Processes from outside: what they have used, and on which cores they run (Linux)."""

import os
from collections.abc import Collection
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except (OSError, IndexError):
                continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def processor_seconds(pids: Collection[int]) -> float:
    """User and system time of processes, in hundredths of a second."""
    return sum(int(_stat(each)[11]) + int(_stat(each)[12]) for each in pids) / TICKS_PER_SECOND


def private_bytes(pids: Collection[int]) -> int:
    """Memory that belongs to these processes alone."""
    total = 0
    for each in pids:
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1_024
    return total


def pin(pids: Collection[int], cores: Collection[int]) -> None:
    """Let processes, with all their threads, run on these cores only."""
    for each in pids:
        for thread in Path(f"/proc/{each}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on, which is number 3 in proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
