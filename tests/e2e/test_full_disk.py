"""A node whose disk fills up ends with a sentence, and goes on from the last commit once there is room."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pivot.node.disk import LEAST_FREE_BYTES, free_bytes
from tests.chain.server.engine import Node, free_port, wait_until
from tests.small_disk import small_disk, why_none

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(why_none()), reason=why_none()),
]
SIZE_BYTES = 3 * LEAST_FREE_BYTES
END_SECONDS = 40
BLOCKS = 5


@contextmanager
def running(node: Node) -> Iterator["subprocess.Popen[str]"]:
    """`pivot node run` of the node."""
    queries = ("--grpc", f"127.0.0.1:{free_port()}", "--rest", f"127.0.0.1:{free_port()}")
    command = [sys.executable, "-m", "pivot.cli", "node", "run", "--home", str(node.home), *queries]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def fill(place: Path) -> None:
    """Take all room there is, to the last byte."""
    subprocess.run(["dd", "if=/dev/zero", f"of={place}", "bs=64K"], stderr=subprocess.DEVNULL, check=False)
    assert free_bytes(place) == 0


def test_a_node_whose_disk_is_full_ends_with_a_sentence_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, SIZE_BYTES) as disk:
        node = Node(disk, {}, timeout_commit="100ms")
        with running(node) as process:
            wait_until(lambda: node.height() > BLOCKS)
            last = node.height()
            fill(disk / "filler")
            told = process.communicate(timeout=END_SECONDS)[1]
        assert process.returncode == 1
        [_, sentence] = told.splitlines()
        assert sentence == (
            f"PIVOT_HOME (--home): the disk of {disk} is full (0 MiB free, 100 are needed): "
            "make room and start again; nothing that was committed is lost"
        )
        with running(node) as process:  # refused while there is no room
            assert "is full" in process.communicate(timeout=END_SECONDS)[1]
        assert process.returncode == 1

        (disk / "filler").unlink()
        with running(node):
            wait_until(lambda: node.height() > last + BLOCKS)
            block = node.ask("block", height=str(last))
            assert block["block"]["header"]["height"] == str(last)
