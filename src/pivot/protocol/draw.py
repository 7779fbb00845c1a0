"""Weighted draws that the chain and every API node must agree on: executors, checkers, contributors to the randomness."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from pivot.primitives.hashes import tagged_hash

EXECUTOR_CANDIDATES = 3


class Line:
    """Members (address, weight) on a line by address, each as long as its weight. Many draws among the same ones share it.

    The order of `members` does not matter; members of weight 0 or less are never drawn. Addresses are unique.
    """

    def __init__(self, members: Sequence[tuple[str, int]]) -> None:
        self._members = sorted(member for member in members if member[1] > 0)
        self._ends = list(accumulate(weight for _, weight in self._members))
        self._places = {address: place for place, (address, _) in enumerate(self._members)}

    def others(self, address: str) -> int:
        """How many there are beside this one."""
        return len(self._members) - (address in self._places)

    def addresses(self, without: str) -> list[str]:
        """All addresses but one, sorted."""
        return [address for address, _ in self._members if address != without]

    def draw(self, count: int, seed: bytes, without: str = "") -> list[str]:
        """`count` of the members but one, in the order drawn, without replacement; all, if there are fewer.

        Every draw takes a point of what is left of the line: a 256-bit hash of seed and number of the draw, modulo that
        length (which favours nobody by more than length / 2^256). Cost: one hash and two look-ups per draw.
        """
        gaps: list[int] = []  # places of those who cannot be drawn any more, in order of address
        left = self._ends[-1] if self._ends else 0
        if without in self._places:
            gaps.append(self._places[without])
            left -= self._members[gaps[0]][1]
        drawn: list[str] = []
        for number in range(min(count, self.others(without))):
            point = int.from_bytes(tagged_hash("pivot/draw/1", seed, number.to_bytes(4, "big"))) % left
            for gap in gaps:  # step over those who are gone
                if self._ends[gap] - self._members[gap][1] > point:
                    break
                point += self._members[gap][1]
            place = bisect_right(self._ends, point)
            drawn.append(self._members[place][0])
            gaps.insert(bisect_right(gaps, place), place)
            left -= self._members[place][1]
        return drawn


Members = Sequence[tuple[str, int]] | Line
"""(address, weight) of all; their line, where more than one draw is among the same."""


def weighted(members: Members, count: int, seed: bytes) -> list[str]:
    """`count` of the members, in the order drawn, without replacement; all, if there are fewer."""
    return _line(members).draw(count, seed)


def executors(members: Members, inference_id: str, randomness: bytes) -> list[str]:
    """The hosts that may answer a request, first choice first (design, decision 8)."""
    seed = tagged_hash("pivot/executors/1", inference_id.encode(), randomness)
    return weighted(members, EXECUTOR_CANDIDATES, seed)


def checkers(members: Members, host: str, epoch: int, size: int, randomness: bytes) -> list[str]:
    """Who checks a host's proof of compute: all other members, or a committee of `size` drawn by weight; alone, itself."""
    line = _line(members)
    others = line.others(host)
    if not others:
        return [host]
    if others <= size:
        return line.addresses(without=host)
    seed = tagged_hash("pivot/checkers/1", epoch.to_bytes(8, "big"), host.encode(), randomness)
    return sorted(line.draw(size, seed, without=host))


def contributor(members: Members, segment: int, running: bytes) -> str:
    """The member whose element of a segment goes into the next randomness, which so far is `running`; there is one at least."""
    return weighted(members, 1, tagged_hash("pivot/contributors/1", segment.to_bytes(1), running))[0]


def _line(members: Members) -> Line:
    return members if isinstance(members, Line) else Line(members)
