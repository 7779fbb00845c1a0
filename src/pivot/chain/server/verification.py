"""Signature checks of a whole block in a few threads; the curve's library lets go of the interpreter's lock meanwhile."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pivot.chain.signatures import SignatureCheck, check_each

FEW = 16
"""Up to so many checks are made at once, where they are asked for."""


class SignatureThreads:
    """Shares checks out among threads. The results are those of `check_each`, in order."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="signatures")

    def check(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """Whether each signature is good."""
        if len(checks) <= FEW or self._threads == 1:
            return check_each(checks)
        share = -(-len(checks) // self._threads)
        shares = [checks[start : start + share] for start in range(0, len(checks), share)]
        return [good for results in self._pool.map(check_each, shares) for good in results]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
