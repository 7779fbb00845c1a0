"""Transactions are decoded once: what CheckTx has decoded serves proposals, further checks and the block, too.

Decoding is a pure function of the bytes, and nothing in a decoded transaction is ever changed, so nothing here can change a
result, only its cost.
"""

from pivot.chain.registry import MESSAGES
from pivot.chain.transaction import Transaction, decode_transaction

KEPT = 6_000
"""Transactions of one generation; two are kept, some 4 kB for each: as many as the engine's queue and a block hold."""
KEPT_BYTES = 2**23
"""Of one generation's encoded transactions."""


class Decoded:
    """The transactions decoded lately."""

    def __init__(self) -> None:
        self._known: dict[bytes, Transaction] = {}
        self._older: dict[bytes, Transaction] = {}
        self._bytes = 0

    def transaction(self, raw: bytes) -> Transaction:
        """The transaction that these bytes encode: some 50 µs, or 1 µs if it is known. Raises as `decode_transaction` does."""
        found = self._known.get(raw)
        if found is None:
            found = self._older.pop(raw, None) or decode_transaction(raw, MESSAGES)
            self._keep(found)
        return found

    def _keep(self, found: Transaction) -> None:
        if len(self._known) >= KEPT or self._bytes + len(found.raw) > KEPT_BYTES:
            self._older, self._known, self._bytes = self._known, {}, 0
        self._known[found.raw] = found
        self._bytes += len(found.raw)
