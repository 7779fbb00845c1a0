"""Signatures are checked once: what CheckTx has found good is remembered for the block.

A check is a pure function of key, message and signature, so nothing here can change a result, only its cost.
"""

from pivot.primitives.hashes import sha256
from pivot.primitives.keys import verify

REMEMBERED = 20_000
"""Good signatures of one generation; two are kept, some 100 bytes for each."""


class Signatures:
    """The signatures found good lately."""

    def __init__(self) -> None:
        self._good: set[bytes] = set()
        self._older: set[bytes] = set()

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature was made by the compressed key over SHA-256 of the message."""
        # A name that only this check has: key and signature have fixed lengths where they can be good.
        name = sha256(public_key + signature + message)
        if name in self._good or name in self._older:
            return True
        good = verify(public_key, message, signature)
        if good:
            self._remember(name)
        return good

    def _remember(self, name: bytes) -> None:
        if len(self._good) >= REMEMBERED:
            self._older, self._good = self._good, set()
        self._good.add(name)
