"""How soon a fraud is caught: many histories of one host's checked answers, drawn from those that were judged."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.calibration.measurements import Judged
from pivot.api.validation.purses import HELD, MOST, Purses
from pivot.chain.modules.status.sequential import Steps, steps
from pivot.protocol.parameters import preset_params

CHECKED = 100
"""Answers of a host within which a fraud must be caught."""
RUNS = 2_000


def caught(judged: Sequence[Judged], checkers: int = 1, preset: str = "mainnet", seed: int = 1) -> float:
    """How likely the chain's sequential test calls a host a fraud within CHECKED answers.

    Each is checked by one of so many checkers, who have purses of their own. Of an answer that fails by itself all find the same; one
    that fails because of its host's purse is INVALID when more than half of the others suspect the host as well.
    """
    source = np.random.default_rng(seed)
    params = preset_params(preset).validation_params
    test: Steps = steps(params)
    alone = np.array([each.failed for each in judged])
    count = max(len(each.made) for each in judged)
    made = np.array([each.made or (0.0,) * count for each in judged])
    adds = np.array([bool(each.made) for each in judged])
    runs = np.arange(RUNS)
    purses = np.full((RUNS, checkers, count), -np.inf)
    evidence, row, done = np.zeros(RUNS), np.zeros(RUNS, int), np.zeros(RUNS, bool)
    for number in range(CHECKED):
        which, who = source.integers(len(judged), size=RUNS), source.integers(checkers, size=RUNS)
        had = purses[runs, who]
        has = np.minimum(np.logaddexp(0.0, had) + made[which], MOST)
        purses[runs, who] = np.where(adds[which][:, None], has, had)
        suspects = np.logaddexp.reduce(purses, axis=2) - math.log(max(count, 1)) > HELD
        own = suspects[runs, who]
        agree = 2 * (suspects.sum(axis=1) - own) > checkers - 1 if checkers > 1 else own
        failed = alone[which] | (own & agree)
        evidence = np.maximum(evidence + np.where(failed, float(test.failed), float(test.passed)), -float(test.bound))
        row = np.where(failed, row + 1, 0)
        full = number + 1 >= params.min_ramp_up_measurements
        done |= (row >= test.longest_run) | (full & (evidence >= float(test.bound)))
    return float(done.mean())


def highest_suspicion(judged: Sequence[Judged]) -> float:
    """The most that the wagers of one checker had while it checked all these answers of one host, as a share of what is HELD."""
    purses, highest = Purses(), -math.inf
    for each in judged:
        if each.made:
            purses.add("", "", each.made)
            highest = max(highest, purses.suspicion("", ""))
    return highest / HELD
