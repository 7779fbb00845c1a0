"""The rules by which checkers' votes become weight (design, section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pivot.primitives.hashes import tagged_hash
from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict, PocVote

SALT_LENGTH = 32
MAX_NODES_PER_HOST = 512
"""All members' nodes stand in the published list, which clients load as a whole."""
QUORUM_DIVISOR = 3
"""Valid and invalid weight together must be at least a third of the checkers' weight, and of everyone's for a refusal."""

_VALID, _INVALID = PocVerdict.POC_VALID, PocVerdict.POC_INVALID
_SHARE_UNIT = 2**64
"""Shares of at most 2^32 leaves that differ do so by more than one in so many: rounded down, they keep their order."""


def vote_hash(chain_id: str, epoch: int, checker: str, votes: Sequence[PocVote], salt: bytes) -> bytes:
    """What a checker commits to in the first half of the validation window, so that nobody copies its votes."""
    parts = [bytes(vote.SerializeToString(deterministic=True)) for vote in votes]
    return tagged_hash("pivot/votes/1", chain_id.encode(), epoch.to_bytes(8, "big"), checker.encode(), salt, *parts)


@dataclass(frozen=True)
class Electorate:
    """Whose votes decide on one host. Weights of the epoch in force."""

    checkers: int
    """Of all that were drawn to check it, voters or not."""
    others: int
    """Of all that could have been drawn: everybody but the host itself, unless it is alone."""
    everyone: int

    def hears(self, voted: int) -> bool:
        """Whether so much of the checkers' weight is enough for a commit to be accepted."""
        return voted * QUORUM_DIVISOR >= self.checkers

    def may_reject(self, voted: int) -> bool:
        """Whether it is enough for a refusal, too: the voters stand for a third of everyone, the host among them.

        A committee's voters stand for the same share of all that could have been drawn.
        """
        return voted * self.others * QUORUM_DIVISOR >= self.checkers * self.everyone


def credit(count: int, previous_weight: int, electorate: Electorate, votes: Sequence[tuple[int, PocVote]]) -> int:
    """Weight that a commit of `count` passes earns from the (weight of checker, vote) pairs of its checkers.

    Accepted if the valid weight exceeds the invalid one and both together are at least a third of the checkers': then the
    count less the weighted median of the mismatched shares. Refused, for nothing, if it does not and both together stand for
    a third of everyone: a tiny member that is a big host's only checker cannot take its weight. Else the weight that the
    host had, if the count covers it.
    """
    valid = [(weight, vote) for weight, vote in votes if vote.verdict == _VALID]
    valid_weight = sum(weight for weight, _ in valid)
    voted = valid_weight + sum(weight for weight, vote in votes if vote.verdict == _INVALID)
    accepted = valid_weight * 2 > voted
    if accepted and electorate.hears(voted):
        median = _weighted_median(valid, valid_weight)
        return count - count * median.mismatched // median.checked
    if not accepted and electorate.may_reject(voted):
        return 0
    return min(previous_weight, count)


def _weighted_median(votes: Sequence[tuple[int, PocVote]], total: int) -> PocVote:
    """The vote whose mismatched share stands at half of the weight, shares in rising order: the lower one where two meet."""
    rising = sorted(votes, key=lambda pair: pair[1].mismatched * _SHARE_UNIT // pair[1].checked)
    reached = accumulate(weight for weight, _ in rising)
    return next(vote for (_, vote), below in zip(rising, reached, strict=True) if below * 2 >= total)


def split(total: int, shares: Sequence[int]) -> list[int]:
    """`total` in proportion to `shares` (not all 0), in whole numbers: rounded down, the remainder to the first."""
    whole = sum(shares)
    parts = [total * share // whole for share in shares]
    parts[0] += total - sum(parts)
    return parts
