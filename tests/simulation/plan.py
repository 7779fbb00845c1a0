"""Operations are drawn before anything runs, so a failing run can be run again with fewer of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Operation:
    """One thing that somebody tries in one block. What exactly follows from its own seed and from the state at that moment."""

    height: int
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"block {self.height}: {self.kind} ({self.seed})"


def draw(seed: int, first: int, blocks: int, per_block: int, weights: Mapping[str, int]) -> list[Operation]:
    """The operations of a run, by block. `weights`: how often each kind is drawn."""
    rng = Random(f"plan {seed}")
    kinds = list(weights)
    return [
        Operation(height, kind, rng.getrandbits(48))
        for height in range(first, first + blocks)
        for kind in rng.choices(kinds, [weights[kind] for kind in kinds], k=per_block)
    ]


def shortest(operations: Sequence[Operation], fails: Callable[[Sequence[Operation]], bool]) -> list[Operation]:
    """A part of the operations that still fails, and no longer does if any one of them is left out (delta debugging)."""
    left, size = list(operations), max(len(operations) // 2, 1)
    while left:
        begin, shrunk = 0, False
        while begin < len(left):
            fewer = left[:begin] + left[begin + size :]
            if fails(fewer):
                left, shrunk = fewer, True
            else:
                begin += size
        if size == 1 and not shrunk:
            break
        size = size if shrunk and size == 1 else max(size // 2, 1)
    return left
