"""From commits and votes to weight (design, section 6: Commit, sample, vote)."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from heapq import merge
from itertools import groupby
from operator import attrgetter, itemgetter

from pivot.chain.modules.members.formation import Work
from pivot.chain.modules.members.state import by_address, line, serves_in_sprint, share
from pivot.chain.modules.participants.state import hardware
from pivot.chain.modules.poc.state import commits, votes
from pivot.chain.types import Reader
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    HardwareNodeStatus,
    MLNodeInfo,
    PocCommit,
    PocVote,
    ValidationWeight,
)
from pivot.protocol.poc import Electorate, credit, split

CACHED_COMMITTEES = 16_384
"""Committees that a process remembers: each vote asks for one, and so does the tally."""
_NOT_SERVING = (HardwareNodeStatus.STOPPED, HardwareNodeStatus.FAILED)

Ballots = Callable[[str], Sequence[PocVote]]
"""A checker's revealed votes, in the order of hosts."""


def checkers(state: Reader, upcoming: Epoch, host: str) -> Sequence[str]:
    """Addresses of those who check a host's commit in the sprint of `upcoming`, sorted.

    They are members of the epoch in force; those of epoch 1 are the genesis' participants.
    """
    size = upcoming.params.poc_params.committee_size
    return _drawn(line(state, upcoming.index - 1), host, upcoming.index, size, upcoming.randomness)


@lru_cache(maxsize=CACHED_COMMITTEES)
def _drawn(members: draw.Line, host: str, epoch: int, size: int, randomness: bytes) -> Sequence[str]:
    """Drawn once per process: the members' line is made once for all who ask."""
    return draw.checkers(members, host, epoch, size, randomness)


def earned(state: Reader, upcoming: Epoch, after: str = "") -> Iterator[Work]:
    """What each host brings into `upcoming` once its checks are over, by address, from `after` (exclusive) on.

    Told are all that have committed, and all members of the epoch before, whether they bring something or not. A commit's
    credit is shared out over its nodes in proportion to their counts; nodes that served through the sprint keep what they
    had proven as long as they are declared and run. Costs grow with the hosts that are taken from the iterator.
    """
    before = by_address(state, upcoming.index - 1)
    ballots = _ballots(state, upcoming.index)
    for address, found in _hosts(state, upcoming.index, before, after):
        member = before.get(address)
        serving = [] if member is None else [node for node in member.ml_nodes if serves_in_sprint(node)]
        preserved = _preserved(state, address, serving)
        if found is None:
            yield Work(address, preserved)
            continue
        previous = 0 if member is None else member.proven_weight - sum(node.proven_weight for node in serving)
        given = _credit(state, upcoming, found, previous, before, ballots)
        yield Work(address, (*preserved, *_credited(found, given)), given, found.hash_chain_tip)


def _hosts(
    state: Reader, epoch: int, before: Mapping[str, ValidationWeight], after: str
) -> Iterator[tuple[str, PocCommit | None]]:
    """Members of the epoch before and all that have committed, by address from `after` on, each with its commit."""
    silent = ((address, None) for address in sorted(before) if address > after)
    committed = ((each.participant, each) for each in commits(state, epoch, after))
    for address, found in groupby(merge(committed, silent, key=itemgetter(0)), key=itemgetter(0)):
        yield address, next(found)[1]


def _ballots(state: Reader, epoch: int) -> Ballots:
    """Reads and parses each checker's votes once, when somebody asks for them."""

    @cache
    def ballot(checker: str) -> Sequence[PocVote]:
        found = votes(state, epoch, checker)
        return () if found is None else found.votes

    return ballot


def _vote(ballot: Sequence[PocVote], host: str) -> PocVote | None:
    place = bisect_left(ballot, host, key=attrgetter("participant"))
    if place == len(ballot) or ballot[place].participant != host:
        return None
    return ballot[place]


def _credit(
    state: Reader,
    upcoming: Epoch,
    found: PocCommit,
    previous: int,
    before: Mapping[str, ValidationWeight],
    ballots: Ballots,
) -> int:
    """What a commit earns by the votes on it. Without any, no committee is drawn: commits are cheap to send, draws are not."""
    count = sum(node.count for node in found.nodes)
    if not found.voted_on:
        return min(previous, count)
    host = found.participant
    drawn = checkers(state, upcoming, host)
    judges = [(before[checker].weight, _vote(ballots(checker), host)) for checker in drawn]
    own, everyone = share(state, upcoming.index - 1, host)
    others = everyone if host in drawn else everyone - own
    electorate = Electorate(sum(weight for weight, _ in judges), others, everyone)
    cast = [(weight, vote) for weight, vote in judges if vote is not None]
    return credit(count, previous, electorate, cast)


def _credited(found: PocCommit, given: int) -> tuple[MLNodeInfo, ...]:
    if not given:
        return ()
    parts = split(given, [node.count for node in found.nodes])
    return tuple(
        MLNodeInfo(node_id=node.node_id, node_number=node.node_number, proven_weight=part)
        for node, part in zip(found.nodes, parts, strict=True)
        if part
    )


def _preserved(state: Reader, address: str, serving: Sequence[MLNodeInfo]) -> tuple[MLNodeInfo, ...]:
    """The nodes that answered during the sprint, with the weight that they had proven.

    One that is gone, or that its host has declared stopped or failed, weighs nothing: it will not serve.
    """
    if not serving:
        return ()
    declared = {
        (node.local_id, node.node_number)
        for node in hardware(state, address).hardware_nodes
        if node.status not in _NOT_SERVING
    }
    return tuple(node for node in serving if (node.node_id, node.node_number) in declared)
