"""Where the output of a supervised process goes: to a file that cannot grow for ever, or to our own standard output."""

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

LARGEST_LOG_BYTES = 64 * 2**20
LOGS_PUT_ASIDE = 2
"""Older parts of a log that are kept: `engine.log.1`, and before it `engine.log.2`."""
LONGEST_LINE_BYTES = 2**16
"""What is longer goes on in the next line."""
LAST_LINES_SECONDS = 2.0


class ProcessLog(Protocol):
    """What one process says, however often it is started again."""

    def writer(self) -> contextlib.AbstractContextManager[int]:
        """The file descriptor that the process writes to; it is needed until the process is started."""

    def note(self, line: str) -> None:
        """Add a line of our own."""

    def bound(self) -> None:
        """See that what is kept stays within the limits."""

    def close(self) -> None:
        """The process is not started again."""


def process_log(name: str, file: Path | None) -> ProcessLog:
    """A log in `file`; without one, lines on our standard output, each after the process's name."""
    return OwnOutput(name) if file is None else LogFile(file)


class LogFile:
    """A file. The process writes into it without us, so it goes on when we are gone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def writer(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as log:
            yield log.fileno()

    def note(self, line: str) -> None:
        with contextlib.suppress(OSError), self.writer() as log:
            os.write(log, f"{line}\n".encode())

    def bound(self) -> None:
        """Put a file that has become too large aside. The process appends, so it goes on at the beginning.

        A line that is written meanwhile may be lost.
        """
        if not self._path.exists() or self._path.stat().st_size <= LARGEST_LOG_BYTES:
            return
        for age in range(LOGS_PUT_ASIDE, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                self._aside(age - 1).replace(self._aside(age))
        with contextlib.suppress(OSError):  # the disk is full: it wants room more than old lines
            shutil.copyfile(self._path, self._aside(1))
        os.truncate(self._path, 0)

    def close(self) -> None:
        pass

    def _aside(self, age: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{age}")


class OwnOutput:
    """A pipe, whose lines a thread passes on. Whoever reads them (a container's log, journald) bounds what is kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        source, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, args=(os.fdopen(source, "rb"),), daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def writer(self) -> Iterator[int]:
        yield self._writer

    def note(self, line: str) -> None:
        os.write(self._writer, f"{line}\n".encode())

    def bound(self) -> None:
        pass

    def close(self) -> None:
        """Returns when the last line is passed on."""
        os.close(self._writer)
        self._thread.join(LAST_LINES_SECONDS)

    def _pass_on(self, source: BinaryIO) -> None:
        with source:
            while line := source.readline(LONGEST_LINE_BYTES):
                with contextlib.suppress(OSError):  # nobody reads us: the process is not to wait for that
                    sys.stdout.buffer.write(b"%b | %b\n" % (self._name.encode(), line.rstrip(b"\n")))
                    sys.stdout.buffer.flush()
