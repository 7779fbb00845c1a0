"""A node does not run on a disk that is nearly full."""

from pathlib import Path

import pytest

from pivot.node import disk
from pivot.node.errors import DiskNearlyFull


def test_room_is_looked_for_where_the_folder_would_be_made(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "not" / "there" / "yet") > 0


async def test_a_disk_that_fills_up_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([disk.LEAST_FREE_BYTES + 1, disk.LEAST_FREE_BYTES, disk.LEAST_FREE_BYTES - 1])
    monkeypatch.setattr(disk, "free_bytes", lambda _: next(left))
    with pytest.raises(DiskNearlyFull, match=rf"^PIVOT_HOME \(--home\): the disk of {tmp_path} is full \(99 MiB free"):
        await disk.watch_room(tmp_path, 0)
    assert next(left, None) is None
