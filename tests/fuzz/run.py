"""Throw so many cases at the doors; the same seed throws the same ones."""

import traceback
from collections import Counter
from random import Random

from tests.fuzz.targets import TARGETS, Doors, world_with_history
from tests.simulation.stores import in_memory
from tests.simulation.world import World


def fuzz(cases: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """(cases by door, findings). A finding names the case that shows it: `fuzz_one(door, case)` throws it again."""
    names = list(TARGETS)
    weights = [weight for _, weight in TARGETS.values()]
    draw = Random(f"doors {seed}")
    counts: Counter[str] = Counter()
    findings = []
    doors = new_doors()
    try:
        for number in range(cases):
            name = draw.choices(names, weights)[0]
            counts[name] += 1
            case = f"{seed}/{number}"
            if complaint := throw(doors, name, case):
                findings.append(complaint)
    finally:
        doors.close()
    return counts, findings


def throw(doors: Doors, name: str, case: str) -> str:
    """One case; what is wrong with the node's answer, or nothing."""
    door, _ = TARGETS[name]
    try:
        door(doors, Random(f"{name} {case}"))
    except Exception as error:  # noqa: BLE001  whatever comes out is the finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{name}, case {case}: {type(error).__name__} in {last.name}:{last.lineno}: {str(error)[:300]}"
    return ""


def new_doors() -> Doors:
    """A small network with some history, in memory."""
    return Doors(world_with_history(World(1, in_memory())))
