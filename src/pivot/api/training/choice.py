"""Which nodes a task gets: greedily those that give most of what is still wanted, of equal ones that of the weightier host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_NODES = 64
"""Of one task."""


@dataclass(frozen=True)
class Candidate:
    """A node of a member that may train."""

    participant: str
    node_id: str
    weight: int
    """Of the participant, in this epoch."""
    hardware: Mapping[str, int]
    """How many accelerators of each type it has."""
    assigned: bool = False
    """Another task's assignment names it. That needs nobody's consent, so it proves nothing: its host is asked, but last."""


def choose(wanted: Mapping[str, int], candidates: Sequence[Candidate]) -> list[Candidate] | None:
    """Nodes that together have what is wanted, unassigned ones where these suffice; None when all of them do not."""
    unassigned = [each for each in candidates if not each.assigned]
    return _choose(wanted, unassigned) or _choose(wanted, candidates)


def _choose(wanted: Mapping[str, int], candidates: Sequence[Candidate]) -> list[Candidate] | None:
    left, free, chosen = dict(wanted), list(candidates), list[Candidate]()
    while any(left.values()) and len(chosen) < MAX_NODES:
        best = max(
            free, key=lambda each: (_gives(each, left), each.weight, each.participant, each.node_id), default=None
        )
        if best is None or not _gives(best, left):
            return None
        free.remove(best)
        chosen.append(best)
        left = {kind: max(count - best.hardware.get(kind, 0), 0) for kind, count in left.items()}
    return None if any(left.values()) else chosen


def _gives(candidate: Candidate, left: Mapping[str, int]) -> int:
    return sum(min(count, candidate.hardware.get(kind, 0)) for kind, count in left.items())
