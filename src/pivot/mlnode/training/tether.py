"""`python -m pivot.mlnode.training.tether COMMAND …`: a command that ends, with all it has started, when its starter does.

A starter holds the other end of standard input. When that is gone, or on SIGTERM, the command gets SIGTERM and a moment
to end; whatever is left of it after that, or after it has ended by itself, is killed: also what has gone into a session
of its own, as torchrun's workers do. Exits with the command's own code, 128 + n for a signal n, 127 when there is none.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

GRACE_S = 4.0
"""Less than the starter's own patience, so that the last word is ours."""
READ_BYTES = 4_096
PR_SET_CHILD_SUBREAPER = 36
"""Linux: orphans among our descendants become our children."""
EXIT_NOT_FOUND = 127
EXIT_SIGNAL = 128


def main() -> int:
    """Run the command of the arguments. Returns its exit code."""
    _adopt_orphans()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    except (OSError, ValueError, IndexError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NOT_FOUND
    threading.Thread(target=_watch_starter, args=(told,), daemon=True).start()
    threading.Thread(target=_end_when_told, args=(command, told), daemon=True).start()
    code = command.wait()
    _kill_the_rest()
    return code if code >= 0 else EXIT_SIGNAL - code


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _watch_starter(told: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), READ_BYTES):
        pass
    told.set()


def _end_when_told(command: subprocess.Popen[bytes], told: threading.Event) -> None:
    told.wait()
    command.terminate()
    try:
        command.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        command.kill()


def _kill_the_rest() -> None:
    """Kill our children until there are none; as each dies, its own children become ours."""
    while children := _children():
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children() -> list[int]:
    """Our children by Linux's account; none where it keeps none."""
    found: list[int] = []
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):
            found += [int(number) for number in listed.read_text().split()]
    return found


if __name__ == "__main__":
    sys.exit(main())
