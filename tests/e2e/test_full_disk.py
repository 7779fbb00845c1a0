"""A node whose disk fills up ends with a sentence, and goes on from the last commit once there is room."""

import re
import subprocess
from pathlib import Path

import pytest

from pivot.node.disk import LEAST_FREE_BYTES, free_bytes
from tests.chain.server.engine import Node, wait_until
from tests.e2e.lone_node import running
from tests.small_disk import small_disk, why_none

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(why_none()), reason=why_none()),
]
SIZE_BYTES = 3 * LEAST_FREE_BYTES
END_SECONDS = 40
BLOCKS = 5


def fill(place: Path) -> None:
    """Take all room there is, to the last byte."""
    subprocess.run(["dd", "if=/dev/zero", f"of={place}", "bs=64K"], stderr=subprocess.DEVNULL, check=False)
    assert free_bytes(place) == 0


def last_line(log: Path) -> str:
    return log.read_text().splitlines()[-1]


def test_a_node_whose_disk_is_full_ends_with_a_sentence_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    with small_disk(tmp_path, SIZE_BYTES) as disk:
        node = Node(disk, {}, timeout_commit="100ms")
        with running(node, log) as process:
            wait_until(lambda: node.height() > BLOCKS)
            last = node.height()
            fill(disk / "filler")
            assert process.wait(END_SECONDS) == 1
        assert re.fullmatch(
            rf"PIVOT_HOME \(--home\): the disk of {disk} is full \(\d+ MiB free, 100 are needed\): "
            "make room and start again; nothing that was committed is lost",
            last_line(log),
        )
        with running(node, log) as process:
            assert process.wait(END_SECONDS) == 1
        assert "is full" in last_line(log)

        (disk / "filler").unlink()
        with running(node, log):
            wait_until(lambda: node.height() > last + BLOCKS)
            block = node.ask("block", height=str(last))
            assert block["block"]["header"]["height"] == str(last)
