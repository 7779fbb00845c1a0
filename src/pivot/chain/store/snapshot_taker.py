"""Takes snapshots in a process of its own, so that blocks hardly notice.

After the commit of a height that is due, the taker is told the height, and begins an LMDB read transaction, in which the
rows stay as they are for as long as it reads. The chain goes on meanwhile, and waits, before its next commit and for
LONGEST_WAIT_MS at most, for the taker to have begun. A taker that is late, or still busy, takes no snapshot of that height.

    chain                    taker
    `1000`             →
                       ←     `reading 1000`, or `missed 1000`
                       ←     `taken 1000`, or `failed 1000 because …`
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import structlog

from pivot.chain.store.database import ReadOnlyDatabase
from pivot.chain.store.errors import StoreError
from pivot.chain.store.snapshots import SnapshotFolder

LONGEST_WAIT_MS = 50
END_SECONDS = 2
NANOSECONDS_PER_MS = 10**6
READ_BYTES = 2**16
NICENESS = 10  # blocks come first
FOLDER = "snapshots"

_log = structlog.get_logger("snapshots")


class SnapshotTaker:
    """The chain's side. One thread calls it: `before_commit` and `after_commit` around every commit."""

    def __init__(self, home: Path, interval: int, keep: int) -> None:
        """`home`: folder of the state; a snapshot every `interval` blocks, of which the newest `keep` stay."""
        self._command = [sys.executable, "-m", __name__, "--home", str(home), "--keep", str(keep)]
        self._interval = interval
        self._start()
        self._asked: int | None = None
        """Height of the snapshot under way."""
        self._reading = False

    def before_commit(self) -> None:
        """Wait until the rows of the last commit may change."""
        end = time.monotonic_ns() + LONGEST_WAIT_MS * NANOSECONDS_PER_MS
        while self._asked is not None and not self._reading:
            left = (end - time.monotonic_ns()) // NANOSECONDS_PER_MS
            if left <= 0 or not self._hear(left):
                return

    def after_commit(self, height: int) -> None:
        """Have a snapshot taken if it is time. Never waits."""
        while self._hear(0):
            pass
        if height % self._interval:
            return
        if self._asked is not None:
            _log.warning("no snapshot is taken", height=height, under_way=self._asked)
            return
        if self._process.poll() is not None:
            self.close()
            self._start()
        self._asked, self._reading = height, False
        try:
            os.write(self._stdin, b"%d\n" % height)
        except BrokenPipeError:
            self._asked = None

    def close(self) -> None:
        """End the process; a snapshot under way is given up."""
        os.close(self._stdin)
        os.close(self._stdout)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._heard = b""
        inside, self._stdin = os.pipe()
        self._stdout, outside = os.pipe()
        self._process = subprocess.Popen(self._command, stdin=inside, stdout=outside)
        os.close(inside)
        os.close(outside)

    def _hear(self, wait_ms: int) -> bool:
        """Take in what the taker says within this time. False if it says nothing, or has ended."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        if not poll.poll(wait_ms):
            return False
        told = os.read(self._stdout, READ_BYTES)
        if not told:
            if self._asked is not None:
                _log.warning("the taker of snapshots has ended", height=self._asked)
            self._asked = None
            return False
        *lines, self._heard = (self._heard + told).split(b"\n")
        for line in lines:
            self._note(line.decode())
        return True

    def _note(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        if what == "reading":
            self._reading = True
            return
        self._asked = None
        if what == "taken":
            _log.info("a snapshot is taken", height=int(rest))
        else:
            _log.warning("no snapshot is taken", reason=f"{what} {rest}")


def snapshot_folder(home: Path) -> SnapshotFolder:
    """Where the snapshots of the state in `home` are."""
    return SnapshotFolder(home / FOLDER)


def serve(home: Path, keep: int) -> None:
    """The taker's side: take what standard input asks for, until it ends."""
    folder = snapshot_folder(home)
    folder.clear_away_remains()
    with ReadOnlyDatabase.open(home) as database:
        for line in iter(sys.stdin.buffer.readline, b""):
            _take(database, folder, int(line), keep)


def _take(database: ReadOnlyDatabase, folder: SnapshotFolder, height: int, keep: int) -> None:
    with database.view() as view:
        if view.height != height:
            _say(f"missed {height}")
            return
        _say(f"reading {height}")
        try:
            folder.take(view, _is_wanted)
            folder.keep(keep)
        except (StoreError, OSError) as error:
            _say(f"failed {height} because {error}".replace("\n", " "))
        else:
            _say(f"taken {height}")


def _is_wanted() -> bool:
    """Whether the chain's process still listens: its end of the pipe closes with it."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP)
    return not poll.poll(0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and serve."""
    arguments = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    arguments.add_argument("--home", type=Path, required=True, help="folder of the state")
    arguments.add_argument("--keep", type=int, required=True, help="how many snapshots to keep")
    options = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the chain's process says when it is over
    os.nice(NICENESS)
    try:
        serve(options.home, options.keep)
    except BrokenPipeError:
        os._exit(0)  # the chain's process has ended; nobody is left to be told


if __name__ == "__main__":
    main()
