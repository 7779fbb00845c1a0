"""A state written from a snapshot, in one LMDB transaction: it is there as a whole after `finish`, or not at all.

The rows come before anybody knows whether they are right: only their app hash, computed from all of them, can tell. Until
then the committed state stays what it was; a crash, or a wrong row, leaves that.
"""

from collections.abc import Callable, Mapping

import lmdb

from pivot.chain.store import encoding, tree
from pivot.chain.store.encoding import leaf_hash
from pivot.chain.store.errors import RefusedSnapshot
from pivot.chain.store.layout import BLOCK_KEY, BlockRow, Table, all_leaves, telling_a_full_disk
from pivot.chain.store.snapshots import Manifest, RowReader, open_chunk
from pivot.chain.store.tree import Tree

Adopt = Callable[[int, Mapping[str, Tree]], None]
"""`adopt(height, trees)`: these are the committed block's."""


class Restoration:
    """One snapshot on its way into the state. The thread that makes it does everything else with it, too."""

    def __init__(
        self,
        environment: lmdb.Environment,
        tables: Mapping[str, Table],
        block_table: Table,
        manifest: Manifest,
        adopt: Adopt,
    ) -> None:
        """Raises RefusedSnapshot for stores that this state does not have."""
        self.manifest = manifest
        unknown = [store.name for store in manifest.stores if store.name not in tables]
        if unknown:
            raise RefusedSnapshot(f"The snapshot has stores that are not known here: {', '.join(unknown)}.")
        self._environment = environment
        self._tables = tables
        self._block_table = block_table
        self._adopt = adopt
        self._rows = RowReader(manifest.stores)
        self._next = 0
        self._transaction = environment.begin(write=True)
        for table in tables.values():
            self._transaction.drop(table, delete=False)

    @property
    def next_chunk(self) -> int:
        """Index of the chunk that is to come."""
        return self._next

    @property
    def complete(self) -> bool:
        """Whether every chunk has been written."""
        return self._next == len(self.manifest.chunks)

    def write(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises RefusedChunk for a damaged one, in whose place another may come, RefusedSnapshot when no chunk can mend the
        snapshot, and DiskFull.
        """
        if self.complete:
            raise RefusedSnapshot(f"The snapshot has no chunk {self._next}.")
        piece = open_chunk(self.manifest, self._next, chunk)
        for store, rows in self._rows.feed(piece):
            leaves = [(key, leaf_hash(key, value) + value) for key, value in rows]
            cursor = self._transaction.cursor(db=self._tables[store])
            with telling_a_full_disk(self._environment):
                _, added = cursor.putmulti(leaves, append=True)
            if added != len(leaves):
                raise RefusedSnapshot(f"The keys of {store!r} in the snapshot do not ascend.")
        self._next += 1

    def finish(self) -> None:
        """Let the rows be the committed state. Raises DiskFull, RefusedSnapshot if they do not have the manifest's app hash."""
        self._rows.require_end()
        names = [store.name for store in self.manifest.stores]
        trees = {name: tree.fold(all_leaves(self._transaction, self._tables[name])) for name in names}
        app_hash = encoding.app_hash({name: tree.root_hash(store_tree) for name, store_tree in trees.items()})
        height = self.manifest.height
        if app_hash != self.manifest.app_hash:
            raise RefusedSnapshot(
                f"The snapshot of height {height} has the app hash {app_hash.hex()}, not {self.manifest.app_hash.hex()}."
            )
        with telling_a_full_disk(self._environment):
            self._transaction.put(BLOCK_KEY, BlockRow(height, app_hash, tuple(names)).encode(), db=self._block_table)
            self._adopt(height, trees)  # readers that see the new rows at once must find their trees
            self._transaction.commit()

    def abort(self) -> None:
        """Forget everything; the committed state is what it was. Does nothing after `finish`."""
        self._transaction.abort()
