"""Signatures are checked once: what CheckTx, or a check of a whole block ahead, has found good is remembered.

A check is a pure function of key, message and signature, so nothing here can change a result, only its cost.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pivot.primitives.hashes import sha256
from pivot.primitives.keys import verify

REMEMBERED = 20_000
"""Good signatures of one generation; two are kept, 64 bytes or so for each."""


class SignatureCheck(NamedTuple):
    """What a check needs: a compressed key, the signed bytes, the signature."""

    public_key: bytes
    message: bytes
    signature: bytes


CheckMany = Callable[[Sequence[SignatureCheck]], Sequence[bool]]


def check_each(checks: Sequence[SignatureCheck]) -> list[bool]:
    """Whether each signature is good, one after the other."""
    return [verify(*check) for check in checks]


class Signatures:
    """The signatures found good lately. `check_many` may share its work among threads."""

    def __init__(self, check_many: CheckMany = check_each) -> None:
        self._check_many = check_many
        self._good: set[bytes] = set()
        self._older: set[bytes] = set()

    def verify(self, check: SignatureCheck) -> bool:
        """Whether the signature is good."""
        name = _name(check)
        if name in self._good or name in self._older:
            return True
        good = verify(*check)
        if good:
            self._remember(name)
        return good

    def verify_ahead(self, checks: Sequence[SignatureCheck]) -> None:
        """Check those that are not known yet, all at once."""
        named = {_name(check): check for check in checks}
        unknown = {name: check for name, check in named.items() if name not in self._good and name not in self._older}
        for name, good in zip(unknown, self._check_many(list(unknown.values())), strict=True):
            if good:
                self._remember(name)

    def _remember(self, name: bytes) -> None:
        if len(self._good) >= REMEMBERED:
            self._older, self._good = self._good, set()
        self._good.add(name)


def _name(check: SignatureCheck) -> bytes:
    """A name of the check that only the same check has: key and signature have fixed lengths where they can be good."""
    return sha256(check.public_key + check.signature + check.message)
