"""The leaves of one node in one sprint, from the moment in which they are computed: kept through a restart of the node.

They lie in memory and, where there is a folder for it, in an append-only file per sprint and node. A record of the file
is the length of its content and its CRC-32 (4 bytes each, big-endian), then the content: the index of the first leaf
(8 bytes) in the first record, whole fingerprints in all others. When the file is opened again, it ends before the first
record that is not whole.

Nothing is forced on the disk: a file survives the end of the process, whatever ended it. A machine that loses its power
computes its last leaves again. Without room on the disk the node goes on in memory.
"""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from pivot.protocol.mlnode_api import PowInit
from pivot.protocol.sprint import FINGERPRINT_BYTES, MAX_INDEX, host_seed

SUFFIX = ".leaves"
MAX_LEAVES = 2**20
"""More than these are not kept: those that the API node has taken go first (32 MiB, half an hour of eight large GPUs)."""
MAX_FILE_BYTES = 2 * MAX_LEAVES * (FINGERPRINT_BYTES + 8)

_HEAD = struct.Struct(">II")
_INDEX = struct.Struct(">Q")

log = logging.getLogger(__name__)


class Journal:
    """Consecutive leaves, `first` the first of them, `end` one more than the last."""

    def __init__(self, folder: Path | None, init: PowInit) -> None:
        """The journal of the node's part in a sprint, with what is on the disk of it; those of other sprints go.

        `folder` is this ML node's own.
        """
        self.name = journal_name(init)
        self.first = init.first_index
        self.error: str | None = None
        """Why nothing is kept on the disk."""
        self._leaves = bytearray()
        self._path = folder / self.name if folder else None
        self._file: BinaryIO | None = None
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _delete_others(folder, _sprint_name(init))
                self._open(folder / self.name)
            except OSError as error:
                self._go_on_in_memory(error)

    @property
    def end(self) -> int:
        """Index of the leaf to compute next."""
        return self.first + len(self._leaves) // FINGERPRINT_BYTES

    def go_on_at(self, index: int) -> None:
        """Who takes the leaves has all below `index`. Where that does not fit what is here, begin there with nothing."""
        if not self.first <= index <= self.end:
            self._begin_at(index)

    def append(self, fingerprints: bytes) -> None:
        """Keep the next leaves."""
        self._leaves += fingerprints
        self._write(fingerprints)

    def let_go(self, index: int) -> None:
        """All below `index` were taken: they need not be kept where there are too many."""
        if len(self._leaves) > MAX_LEAVES * FINGERPRINT_BYTES:
            self._begin_at(index)

    def read(self, index: int, most: int) -> bytes:
        """Fingerprints from leaf `index` on, at most so many; fewer at the end."""
        begin = FINGERPRINT_BYTES * (index - self.first)
        return bytes(self._leaves[begin : begin + FINGERPRINT_BYTES * most])

    def close(self) -> None:
        """Write nothing more; the file stays."""
        if self._file:
            self._file.close()
        self._file = None

    def _open(self, path: Path) -> None:
        """Take up what the file holds, without what is broken at its end."""
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        records, whole = _records(self._file.read(MAX_FILE_BYTES))
        if not records or len(records[0]) != _INDEX.size or (first := _INDEX.unpack(records[0])[0]) > MAX_INDEX:
            self._begin_at(self.first)
            return
        self.first = first
        self._leaves = bytearray(b"".join(records[1:]))
        self._file.truncate(whole)
        self._file.seek(whole)
        log.info("%d leaves from %d on were kept from before", self.end - self.first, self.first)

    def _begin_at(self, index: int) -> None:
        """Keep what follows `index`, in a new file; nothing where there is a gap. A crash leaves the old one or the new."""
        self._leaves = bytearray(self.read(index, MAX_LEAVES)) if self.first <= index else bytearray()
        self.first = index
        if self._file is None or self._path is None:
            return
        self._file.close()
        try:
            beside = self._path.with_name(f"new-{self.name}")
            self._file = beside.open("wb", buffering=0)
            self._write(_INDEX.pack(index))
            if self._leaves:
                self._write(bytes(self._leaves))
            if self._file:
                beside.replace(self._path)
        except OSError as error:
            self._go_on_in_memory(error)

    def _write(self, content: bytes) -> None:
        if self._file is None:
            return
        record = _HEAD.pack(len(content), zlib.crc32(content)) + content
        try:
            whole = self._file.write(record) == len(record)
        except OSError as error:
            self._go_on_in_memory(error)
            return
        if not whole:
            self._go_on_in_memory(OSError("the disk is full"))

    def _go_on_in_memory(self, error: OSError) -> None:
        self.close()
        self.error = f"leaves are kept in memory alone: {error}"
        log.error("%s", self.error)


def journal_name(init: PowInit) -> str:
    """Name of the file of a node's part in a sprint."""
    return f"{_sprint_name(init)}-{init.preset}-{init.node_id}{SUFFIX}"


def _sprint_name(init: PowInit) -> str:
    """A host's part in one sprint: no other has the same."""
    return host_seed(init.seed, init.host_address).hex()


def _records(content: bytes) -> tuple[list[bytes], int]:
    """The records up to the first that is not whole, and where that begins."""
    records: list[bytes] = []
    begin = 0
    while begin + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, begin)
        end = begin + _HEAD.size + length
        record = content[begin + _HEAD.size : end]
        if len(record) < length or zlib.crc32(record) != checksum or (records and length % FINGERPRINT_BYTES):
            break
        records.append(record)
        begin = end
    return records, begin


def _delete_others(folder: Path, sprint: str) -> None:
    for path in folder.glob(f"*{SUFFIX}"):
        if not path.name.startswith(sprint):
            path.unlink(missing_ok=True)
