"""Room on the disk of a node.

An engine that cannot write halts and does not end, and on some file systems a process that finds no room is killed. So a node
does not start on a disk that is nearly full, and ends before the disk is.
"""

import asyncio
import shutil
from pathlib import Path

from pivot.node.errors import DiskNearlyFull

LEAST_FREE_BYTES = 100 * 2**20
LOOK_SECONDS = 2.0
MIB = 2**20


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, or of where it would be made."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def require_room(home: Path) -> None:
    """Refuse a disk that is nearly full. Raises DiskNearlyFull."""
    free = free_bytes(home)
    if free < LEAST_FREE_BYTES:
        raise DiskNearlyFull(
            f"PIVOT_HOME (--home): the disk of {home} is full ({free // MIB} MiB free, {LEAST_FREE_BYTES // MIB} are needed): "
            "make room and start again; nothing that was committed is lost"
        )


async def watch_room(home: Path, look_seconds: float = LOOK_SECONDS) -> None:
    """Look again and again, for ever. Raises DiskNearlyFull."""
    while True:
        require_room(home)
        await asyncio.sleep(look_seconds)
