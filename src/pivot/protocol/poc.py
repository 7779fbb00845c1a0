"""The rules by which checkers' votes become weight (design, section 6)."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from pivot.primitives.hashes import tagged_hash
from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict, PocVote

SALT_LENGTH = 32
MAX_NODES_PER_HOST = 512
"""All members' nodes stand in the published list, which clients load as a whole."""
QUORUM_DIVISOR = 3
"""Valid and invalid weight together must be at least a third of the checkers' weight."""


def vote_hash(chain_id: str, epoch: int, checker: str, votes: Sequence[PocVote], salt: bytes) -> bytes:
    """What a checker commits to in the first half of the validation window, so that nobody copies its votes."""
    parts = [bytes(vote.SerializeToString(deterministic=True)) for vote in votes]
    return tagged_hash("pivot/votes/1", chain_id.encode(), epoch.to_bytes(8, "big"), checker.encode(), salt, *parts)


def credit(count: int, previous_weight: int, total_weight: int, votes: Sequence[tuple[int, PocVote]]) -> int:
    """Weight that a commit of `count` passes earns from the (weight of checker, vote) pairs of its checkers.

    `total_weight` is the weight of all its checkers, voters or not. Accepted if the valid weight exceeds the invalid one
    and both together are at least a third: then the count less the weighted median of the mismatched shares. Without that
    quorum: the weight that the host had, if the count covers it.
    """
    valid = [(weight, vote) for weight, vote in votes if vote.verdict == PocVerdict.POC_VALID]
    valid_weight = sum(weight for weight, _ in valid)
    invalid_weight = sum(weight for weight, vote in votes if vote.verdict == PocVerdict.POC_INVALID)
    if (valid_weight + invalid_weight) * QUORUM_DIVISOR < total_weight:
        return min(previous_weight, count)
    if valid_weight <= invalid_weight:
        return 0
    share = _weighted_median_share(valid, valid_weight)
    return count - count * share.numerator // share.denominator


def _weighted_median_share(votes: Sequence[tuple[int, PocVote]], total: int) -> Fraction:
    """The mismatched share at half of the weight, shares in rising order: the lower one where two meet."""
    shares = sorted((Fraction(vote.mismatched, max(vote.checked, 1)), weight) for weight, vote in votes)
    reached = accumulate(weight for _, weight in shares)
    return next(share for (share, _), below in zip(shares, reached, strict=True) if below * 2 >= total)


def split(total: int, shares: Sequence[int]) -> list[int]:
    """`total` in proportion to `shares` (not all 0), in whole numbers: rounded down, the remainder to the first."""
    whole = sum(shares)
    parts = [total * share // whole for share in shares]
    parts[0] += total - sum(parts)
    return parts
