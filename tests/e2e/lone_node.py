"""A node that is its chain's only validator, run as its host runs it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chain.server.engine import Node, free_port

END_SECONDS = 60


@contextmanager
def command(log: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`pivot …` until the block ends; what it tells goes to the log."""
    line = [sys.executable, "-m", "pivot.cli", *arguments]
    with log.open("wb") as told, subprocess.Popen(line, stdout=told, stderr=told) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(END_SECONDS)


@contextmanager
def running(node: Node, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`pivot node run` of the node."""
    queries = ("--grpc", f"127.0.0.1:{free_port()}", "--rest", f"127.0.0.1:{free_port()}")
    with command(log, "node", "run", "--home", str(node.home), *queries) as process:
        yield process
