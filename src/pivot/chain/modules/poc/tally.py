"""From commits and votes to weight (design, section 6: Commit, sample, vote)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import epoch as epoch_record
from pivot.chain.modules.members.formation import Work
from pivot.chain.modules.members.state import line, proven_weight, serving_nodes, share, weights
from pivot.chain.modules.participants.state import hardware
from pivot.chain.modules.poc.state import all_votes, commits
from pivot.chain.types import Reader
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    HardwareNodeStatus,
    MLNodeInfo,
    PocCommit,
    PocVote,
)
from pivot.protocol.poc import Electorate, credit, split

CACHED_COMMITTEES = 16_384
"""Committees that a process remembers: each vote asks for one, and so does the tally."""
_NOT_SERVING = (HardwareNodeStatus.STOPPED, HardwareNodeStatus.FAILED)


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


def earned(state: Reader, epoch: int) -> list[Work]:
    """What each host brings into `epoch`, by address, at the end of its validation window. Raises EPOCH_NOT_FOUND.

    A commit's credit is shared out over its nodes in proportion to their counts; nodes that served through the sprint keep
    what they had proven as long as they are declared and run.
    """
    upcoming = epoch_record(state, epoch)
    if upcoming is None:
        raise NetworkError(NetworkCode.EPOCH_NOT_FOUND, f"the sprint of epoch {epoch} has not begun")
    members = dict(weights(state, epoch - 1))
    cast = _votes_by_host(state, epoch)
    committed = {each.participant: each for each in commits(state, epoch)}
    work = []
    for address in sorted({*committed, *members}):
        preserved = _preserved(state, epoch - 1, address)
        found = committed.get(address)
        if found is None:
            if preserved:
                work.append(Work(address, preserved))
            continue
        serving = sum(node.proven_weight for node in serving_nodes(state, epoch - 1, address))
        previous = proven_weight(state, epoch - 1, address) - serving
        given = _credit(state, upcoming, found, previous, members, cast.get(address, {}))
        work.append(Work(address, (*preserved, *_credited(found, given)), given, found.hash_chain_tip))
    return work


def _votes_by_host(state: Reader, epoch: int) -> dict[str, dict[str, PocVote]]:
    """Revealed votes: host, then checker."""
    cast: dict[str, dict[str, PocVote]] = {}
    for each in all_votes(state, epoch):
        for vote in each.votes:
            cast.setdefault(vote.participant, {})[each.checker] = vote
    return cast


def _credit(
    state: Reader,
    upcoming: Epoch,
    found: PocCommit,
    previous: int,
    members: Mapping[str, int],
    votes: Mapping[str, PocVote],
) -> int:
    """What a commit earns by the votes on it. Without any, no committee is drawn: commits are cheap to send, draws are not."""
    count = sum(node.count for node in found.nodes)
    if not votes:
        return min(previous, count)
    host = found.participant
    drawn = {each: members[each] for each in checkers(state, upcoming, host)}
    own, everyone = share(state, upcoming.index - 1, host)
    electorate = Electorate(sum(drawn.values()), everyone if host in drawn else everyone - own, everyone)
    pairs = [(weight, votes[checker]) for checker, weight in drawn.items() if checker in votes]
    return credit(count, previous, electorate, pairs)


def _credited(found: PocCommit, given: int) -> tuple[MLNodeInfo, ...]:
    if not given:
        return ()
    parts = split(given, [node.count for node in found.nodes])
    return tuple(
        MLNodeInfo(node_id=node.node_id, node_number=node.node_number, proven_weight=part)
        for node, part in zip(found.nodes, parts, strict=True)
        if part
    )


def _preserved(state: Reader, epoch: int, address: str) -> tuple[MLNodeInfo, ...]:
    """The nodes that answered during the sprint, with the weight that they had proven.

    One that is gone, or that its host has declared stopped or failed, weighs nothing: it will not serve.
    """
    serving = serving_nodes(state, epoch, address)
    if not serving:
        return ()
    declared = {
        (node.local_id, node.node_number)
        for node in hardware(state, address).hardware_nodes
        if node.status not in _NOT_SERVING
    }
    return tuple(node for node in serving if (node.node_id, node.node_number) in declared)
