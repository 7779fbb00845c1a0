"""Weighted draws that the chain and every API node must agree on: executors of a request, checkers of a host."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from pivot.primitives.hashes import tagged_hash

EXECUTOR_CANDIDATES = 3


def weighted(members: Sequence[tuple[str, int]], count: int, seed: bytes) -> list[str]:
    """`count` of the members (address, weight), in the order drawn, without replacement; all, if there are fewer.

    Members stand on a line by address, each as long as its weight. Every draw takes a point of what is left of the line: a
    256-bit hash of seed and number of the draw, modulo that length (which favours nobody by more than length / 2^256). The
    order of `members` does not matter; members of weight 0 or less are never drawn. Addresses are unique.
    Cost: one pass of additions over the members and one hash per draw.
    """
    line = sorted(member for member in members if member[1] > 0)
    ends = list(accumulate(weight for _, weight in line))
    gaps: list[int] = []  # places of those drawn, in order of address
    drawn: list[str] = []
    left = ends[-1] if ends else 0
    for number in range(min(count, len(line))):
        point = int.from_bytes(tagged_hash("pivot/draw/1", seed, number.to_bytes(4, "big"))) % left
        for gap in gaps:  # step over those who are gone
            if ends[gap] - line[gap][1] > point:
                break
            point += line[gap][1]
        place = bisect_right(ends, point)
        drawn.append(line[place][0])
        gaps.insert(bisect_right(gaps, place), place)
        left -= line[place][1]
    return drawn


def executors(members: Sequence[tuple[str, int]], inference_id: str, randomness: bytes) -> list[str]:
    """The hosts that may answer a request, first choice first (design, decision 8)."""
    seed = tagged_hash("pivot/executors/1", inference_id.encode(), randomness)
    return weighted(members, EXECUTOR_CANDIDATES, seed)


def checkers(members: Sequence[tuple[str, int]], host: str, epoch: int, size: int, randomness: bytes) -> list[str]:
    """Who checks a host's proof of compute: all other members, or a committee of `size` drawn by weight; alone, itself."""
    others = [(address, weight) for address, weight in members if address != host and weight > 0]
    if not others:
        return [host]
    if len(others) <= size:
        return sorted(address for address, _ in others)
    seed = tagged_hash("pivot/checkers/1", epoch.to_bytes(8, "big"), host.encode(), randomness)
    return sorted(weighted(others, size, seed))
