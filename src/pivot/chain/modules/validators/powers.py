"""From weights to consensus power (design, section 4, Consensus power). Pure integer arithmetic.

Keys that have never signed half of one window hold at most a share of the total together, so that hosts whose engine is not
running cannot stop the chain. Proven keys keep their weight as power, unless the total is too much for the engine.

While a network is young, guardians whom its genesis names hold a multiple of everybody else's power together. That comes
after the unproven are limited: a newcomer's weight that is not yet believed must not lift the guardians over the proven,
and a guardian whose engine does not run is held down like anybody else.

Every block carries the signatures of all who have power, so not more than MAX_VALIDATORS do, the heaviest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pivot.primitives.fixed_point import multiply_floor

MAX_TOTAL_POWER = 2**50
"""Of all validators; the engine stops at 2^60."""
MAX_VALIDATORS = 1_000
"""Far above it blocks would become slow, and above 10,000 the engine stops: a crowd of tiny hosts must not take it there."""
SEATS_OF_UNPROVEN = MAX_VALIDATORS // 10
"""So many places stay open to the heaviest keys that have never signed: they could not prove themselves otherwise."""


class Candidate(NamedTuple):
    """A member as the consensus may see it."""

    key: bytes
    weight: int
    """Above 0."""
    proven: bool
    guardian: bool = False


@dataclass(frozen=True)
class Guardianship:
    """How much power guardians have."""

    maturity: int
    """Weight of all members from which on the network needs no guardians."""
    multiplier: int
    """What they hold together of everybody else's power, 18 decimals."""


def powers(
    candidates: Sequence[Candidate], unproven_percent: int, guardianship: Guardianship | None = None
) -> dict[bytes, int]:
    """Power by consensus key, each above 0, in total at most 2^50.

    Unproven keys together have at most `unproven_percent` of the total, unless there are no others. Everything is scaled up
    where the smallest unproven key would round to nothing, since a key that never enters could never prove itself; dust
    that has no power at a total of 2^50 is left out.
    """
    seated = _seated(candidates)
    limited = _limited(
        [each for each in seated if each.proven], [each for each in seated if not each.proven], unproven_percent
    )
    if guardianship is not None and sum(each.weight for each in candidates) < guardianship.maturity:
        limited |= _guarded(seated, limited, guardianship.multiplier)
    total = sum(limited.values())
    if total > MAX_TOTAL_POWER:
        limited = _shrunk(seated, limited, total)
    return {key: power for key, power in limited.items() if power}


def _seated(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those who may sign: the heaviest proven keys and, for the places kept open to them and those left over, unproven ones.

    Guardians come before others. Unproven weight takes no place of a proven key, however heavy it pretends to be.
    """
    if len(candidates) <= MAX_VALIDATORS:
        return candidates
    ranked = sorted(candidates, key=lambda each: (not each.guardian, -each.weight, each.key))
    unproven = [each for each in ranked if not each.proven]
    seats = MAX_VALIDATORS - min(len(unproven), SEATS_OF_UNPROVEN)
    proven = [each for each in ranked if each.proven][:seats]
    return [*proven, *unproven[: MAX_VALIDATORS - len(proven)]]


def _limited(proven: Sequence[Candidate], unproven: Sequence[Candidate], percent: int) -> dict[bytes, int]:
    """Powers before the total is looked at."""
    trusted, others = sum(each.weight for each in proven), sum(each.weight for each in unproven)
    if not trusted or others * (100 - percent) <= trusted * percent:
        return {each.key: each.weight for each in (*proven, *unproven)}
    # Unproven keys share trusted × percent / (100 − percent); each weight becomes weight × share / others, rounded down.
    share, whole = trusted * percent, others * (100 - percent)
    scale = -(-whole // (share * min(each.weight for each in unproven)))
    return {each.key: each.weight * scale for each in proven} | {
        each.key: each.weight * scale * share // whole for each in unproven
    }


def _guarded(candidates: Sequence[Candidate], limited: dict[bytes, int], multiplier: int) -> dict[bytes, int]:
    """What changes by guardianship: each proven guardian has the same part of the multiple of the others' power.

    Nothing does if there is no other validator, or if guardians hold more already.
    """
    guardians = [each.key for each in candidates if each.guardian and each.proven]
    held = sum(limited[key] for key in guardians)
    together = multiply_floor(sum(limited.values()) - held, multiplier)
    return {} if not guardians or together < held else dict.fromkeys(guardians, together // len(guardians))


def _shrunk(candidates: Sequence[Candidate], large: dict[bytes, int], total: int) -> dict[bytes, int]:
    """The same powers at a total of 2^50 at most: proven keys rounded up, others down, so the share still holds."""
    room = MAX_TOTAL_POWER - len(candidates)
    return {
        each.key: -(-large[each.key] * room // total) if each.proven else large[each.key] * room // total
        for each in candidates
    }
