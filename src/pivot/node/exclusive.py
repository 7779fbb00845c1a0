"""Run a command that must never run twice at a time: `python -m pivot.node.exclusive LOCK COMMAND…`.

This process takes the lock on the file and becomes the command, which keeps the lock until it ends, however it ends.
tmkms needs it: it reads the last height that it signed when it starts, so two of them over one folder could sign two
different blocks of the same height.
"""

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pivot.node.errors import NodeError

EXIT_FAILED = 1
EXIT_USAGE = 2
PRIVATE_FILE_MODE = 0o600


class AlreadyRunning(NodeError):
    """Another process holds the lock."""


def command_under_lock(lock: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` while holding `lock`."""
    return [sys.executable, "-m", "pivot.node.exclusive", str(lock), *command]


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold the lock until the block ends. Raises AlreadyRunning."""
    descriptor = take(lock)
    try:
        yield
    finally:
        os.close(descriptor)


def take(lock: Path) -> int:
    """Hold the lock for as long as the descriptor returned is open, in this process or what it becomes. Raises AlreadyRunning."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode().strip()
        os.close(descriptor)
        raise AlreadyRunning(f"process {holder} runs with {lock.parent} already; a second one is refused") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.set_inheritable(descriptor, True)
    return descriptor


def main() -> int:
    """Take the lock and become the command. Returns only when that fails."""
    if len(sys.argv) < 3:
        sys.stderr.write("usage: python -m pivot.node.exclusive LOCK COMMAND…\n")
        return EXIT_USAGE
    lock, command = Path(sys.argv[1]), sys.argv[2:]
    try:
        take(lock)
        os.execv(command[0], command)  # noqa: S606  that is what this process is for
    except AlreadyRunning as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run under {lock}: {error}\n")
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
