"""The leaves that this host's nodes have computed: one append-only file of 32-byte fingerprints per epoch and node.

Leaf i of a node is the i-th fingerprint of its file, so a count says all about what is there and where to go on.
"""

import os
import shutil
from pathlib import Path

from pivot.api.poc.records import KEPT_EPOCHS
from pivot.protocol.sprint import FINGERPRINT_BYTES, LeafTree, leaf_bytes, nonce_of

SUFFIX = ".leaves"


class LeavesOutOfOrder(ValueError):
    """A batch that leaves a gap, or says something else about leaves that are here already."""


class LeafFiles:
    """Leaves under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: dict[tuple[int, int], int] = {}

    def count(self, epoch: int, node_number: int) -> int:
        """How many leaves of a node are here."""
        key = epoch, node_number
        if key not in self._counts:
            path = self._path(*key)
            self._counts[key] = path.stat().st_size // FINGERPRINT_BYTES if path.exists() else 0
        return self._counts[key]

    def node_numbers(self, epoch: int) -> list[int]:
        """Nodes that have leaves in an epoch, in rising order."""
        return sorted(int(path.name.removesuffix(SUFFIX)) for path in (self._folder / str(epoch)).glob(f"*{SUFFIX}"))

    def append(self, epoch: int, node_number: int, first_index: int, fingerprints: bytes) -> None:
        """Add the next leaves of a node. Leaves that are here already may come again, unchanged.

        Returns when they are with the operating system; `secure` makes them survive a loss of power as well.
        Raises LeavesOutOfOrder for a gap, or for a repetition that differs.
        """
        present = self.count(epoch, node_number)
        if first_index > present:
            raise LeavesOutOfOrder(f"first_index {first_index} leaves a gap: leaf {present} of the node is the next")
        known, new = split_known(fingerprints, present - first_index)
        if known and known != self.read(epoch, node_number, first_index, len(known) // FINGERPRINT_BYTES):
            raise LeavesOutOfOrder(f"leaves from {first_index} on are here already, and they differ")
        if not new:
            return
        path = self._path(epoch, node_number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(present * FINGERPRINT_BYTES)  # over the rest of a write that failed
            file.write(new)
        self._counts[epoch, node_number] = present + len(new) // FINGERPRINT_BYTES

    def read(self, epoch: int, node_number: int, first_index: int, count: int) -> bytes:
        """Fingerprints of consecutive leaves; fewer at the end of the file."""
        with self._path(epoch, node_number).open("rb") as file:
            file.seek(first_index * FINGERPRINT_BYTES)
            return file.read(count * FINGERPRINT_BYTES)

    def tree(self, epoch: int, node_number: int, count: int) -> LeafTree:
        """The tree over the first `count` leaves of a node; about a second for half a million."""
        content = self.read(epoch, node_number, 0, count)
        fingerprints = (content[i : i + FINGERPRINT_BYTES] for i in range(0, len(content), FINGERPRINT_BYTES))
        return LeafTree(leaf_bytes(nonce_of(node_number, index), leaf) for index, leaf in enumerate(fingerprints))

    def secure(self, epoch: int) -> None:
        """Put an epoch's leaves on the disk for good."""
        for number in self.node_numbers(epoch):
            with self._path(epoch, number).open("rb") as file:
                os.fsync(file.fileno())

    def prune(self, latest: int) -> None:
        """Delete the leaves of epochs that nobody may ask about any more."""
        for folder in self._folder.glob("*"):
            if folder.name.isdigit() and int(folder.name) < latest - KEPT_EPOCHS:
                shutil.rmtree(folder)
        self._counts = {key: count for key, count in self._counts.items() if key[0] >= latest - KEPT_EPOCHS}

    def _path(self, epoch: int, node_number: int) -> Path:
        return self._folder / str(epoch) / f"{node_number}{SUFFIX}"


def split_known(fingerprints: bytes, known: int) -> tuple[bytes, bytes]:
    """A batch cut in the leaves that are `known` and the rest."""
    cut = known * FINGERPRINT_BYTES
    return fingerprints[:cut], fingerprints[cut:]
