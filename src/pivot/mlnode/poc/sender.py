"""Generated fingerprints on their way to the API node: in order, without gaps, nothing lost.

Leaves are gathered into batches, at most one of which is in flight. A batch keeps its id and content
through every repetition, so the API node may count it once.
"""

from __future__ import annotations

import asyncio

from pivot.mlnode.poc.callback import Callbacks, NotTaken
from pivot.mlnode.poc.journal import Journal
from pivot.protocol.mlnode_api import MAX_BATCH_LEAVES, GeneratedBatch, PowInit, encode_fingerprints
from pivot.protocol.sprint import FINGERPRINT_BYTES, host_seed

GATHER_S = 0.25
"""How long leaves are gathered before a batch goes out."""
MAX_BACKLOG_LEAVES = 4 * MAX_BATCH_LEAVES
"""Leaves that may wait for an API node that does not answer; then generation waits too."""
BATCH_ID_SEED_DIGITS = 16


class Sender:
    """Sends the leaves of one generation, from `init.first_index` on: what the journal holds already, then what is put."""

    def __init__(self, init: PowInit, callbacks: Callbacks, journal: Journal, *, gather_s: float = GATHER_S) -> None:
        self._init = init
        self._callbacks = callbacks
        self._journal = journal
        self._gather_s = gather_s
        self._label = host_seed(init.seed, init.host_address).hex()[:BATCH_ID_SEED_DIGITS]
        self._grown = asyncio.Event()
        self._shrunk = asyncio.Event()
        self._closed = False
        self.acknowledged = init.first_index
        """One more than the last leaf that the API node has taken."""
        self.error: str | None = None
        """Why the last attempt failed; None after one that did not."""

    @property
    def waiting(self) -> int:
        """Leaves not yet taken."""
        return self._journal.end - self.acknowledged

    @property
    def taken(self) -> int:
        """Leaves that the API node has taken from this sender."""
        return self.acknowledged - self._init.first_index

    def put(self, fingerprints: bytes) -> None:
        """Add the fingerprints of the next leaves, 32 bytes each."""
        self._journal.append(fingerprints)
        self._grown.set()

    async def room(self, leaves: int) -> None:
        """Wait until so many more leaves may be put."""
        while self.waiting + leaves > MAX_BACKLOG_LEAVES:
            self._shrunk.clear()
            await self._shrunk.wait()

    def close(self) -> None:
        """No more will be put: `run` ends when everything was taken."""
        self._closed = True
        self._grown.set()

    async def run(self) -> None:
        """Send until closed and everything was taken, or until the API node will not take any more."""
        while True:
            await self._gather()
            if not self.waiting:
                return
            batch = self._batch()
            try:
                await self._callbacks.post("/generated", batch, failed=self._note)
            except NotTaken as error:
                self._note(str(error))
                return
            self.error = None
            self.acknowledged += batch.count
            self._journal.let_go(self.acknowledged)
            self._shrunk.set()

    async def _gather(self) -> None:
        """Wait for something to send; give it a moment to grow unless there is no more to come."""
        while not self.waiting and not self._closed:
            self._grown.clear()
            await self._grown.wait()
        deadline = asyncio.get_running_loop().time() + self._gather_s
        while not self._closed and self.waiting < MAX_BATCH_LEAVES:
            self._grown.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._grown.wait()
            except TimeoutError:
                return

    def _batch(self) -> GeneratedBatch:
        content = self._journal.read(self.acknowledged, MAX_BATCH_LEAVES)
        count = len(content) // FINGERPRINT_BYTES
        init = self._init
        return GeneratedBatch(
            epoch=init.epoch,
            host_address=init.host_address,
            node_id=init.node_id,
            batch_id=f"{self._label}-{init.node_id}-{self.acknowledged}-{count}",
            first_index=self.acknowledged,
            fingerprints=encode_fingerprints(content),
        )

    def _note(self, reason: str) -> None:
        self.error = reason
