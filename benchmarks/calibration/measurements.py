"""What is measured: how far honest pairs lie apart, how often honest answers and frauds fail, and how soon a fraud is caught."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import NamedTuple

import numpy as np

from benchmarks.calibration import engines
from benchmarks.calibration.engines import Answer, Machine, Question, answer, replay, retold
from benchmarks.calibration.questions import WAYS, questions
from pivot.api.validation.choice import Choosing, greedy_gap, surprise
from pivot.api.validation.judge import judge, position_distance, position_shift
from pivot.api.validation.positions import Replayed
from pivot.api.validation.thresholds import UNMEASURED, Spread, Thresholds
from pivot.chain.modules.status.sequential import Steps, steps
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.protocol.engine_arguments import LEAST_LOGPROBS
from pivot.protocol.parameters import preset_params

CHECKED = 100
"""Answers of a host within which a fraud must be caught."""
RUNS = 4_000
MARGIN = 1.5
"""By so much the thresholds lie above what honest pairs were measured to do."""

LEAST_GAP = 0.25
"""Ties are rare, so few answers show how far 16-bit machines may stand apart at one."""

Fraud = Callable[[Machine, Sequence[Question]], list[Answer]]


class Pair(NamedTuple):
    """An honest executor and an honest checker."""

    executor: Machine
    checker: Machine


@dataclass(frozen=True)
class Apart:
    """How far one honest pair lies apart."""

    positions: int
    distance: Spread
    shift: Spread
    greedy_gap: float
    excess_z: float
    """Of the surprisal, in either direction, at most."""


def honest_pairs(model: ServedModel) -> Mapping[str, Pair]:
    """Other arithmetic, other order of sums, other batches."""
    whole, half, pieces = Machine(model), Machine(model, engines.fp16, 4), Machine(model, engines.in_pieces, 1)
    return {
        "fp32, fp32 in another order": Pair(whole, pieces),
        "fp32, fp16": Pair(whole, half),
        "fp16, fp32": Pair(half, whole),
    }


def frauds(model: ServedModel) -> Mapping[str, Fraud]:
    """Cheaper ways to answer, each telling what suits it best."""
    cheap = Machine(engines.without_last_layer(model))
    return {
        "a smaller model": lambda _, asked: answer(cheap, asked),
        "random weights": lambda _, asked: answer(Machine(engines.random_weights(model)), asked),
        "4-bit weights": lambda _, asked: answer(Machine(engines.with_weights(model, engines.integers(4))), asked),
        "8-bit weights": lambda _, asked: answer(Machine(engines.with_weights(model, engines.integers(8))), asked),
        "8-bit weights and activations": lambda _, asked: answer(
            Machine(engines.with_weights(model, engines.integers(8)), engines.int8_activations), asked
        ),
        "half the prompt": _cut,
        "greedy for what asks for chance": _greedy,
        "a smaller model's text, the true one's log-probabilities": lambda true, asked: retold(
            true, answer(cheap, asked)
        ),
    }


def apart(pair: Pair, model: ServedModel, count: int, seed: int) -> Apart:
    """How far a pair lies apart over all ways to choose."""
    distances: list[float] = []
    shifts: list[float] = []
    gap, excess = 0.0, 0.0
    for way, settings in WAYS.items():
        choosing = Choosing(**settings)
        answers = answer(pair.executor, questions(model, way, count, seed))
        for one, found in zip(answers, replay(pair.checker, answers), strict=True):
            tops = [(position[2], each) for position, each in zip(one.told, found, strict=True)]
            distances += [total / LEAST_LOGPROBS for total in starmap(position_distance, tops)]
            shifts += starmap(position_shift, tops)
            if choosing.greedy:
                gap = max(gap, greedy_gap(found, choosing))
            else:
                excess = max(excess, _excess_z(found, choosing, UNMEASURED))
    return Apart(len(distances), _spread(distances), _spread(shifts), gap, excess)


def thresholds_from(measured: Sequence[Apart], choosing: Choosing) -> Thresholds:
    """Thresholds that all honest pairs keep, with MARGIN."""
    return replace(
        UNMEASURED,
        distance=_widest([each.distance for each in measured]),
        shift=_widest([each.shift for each in measured]),
        greedy_gap=max(LEAST_GAP, _rounded_up(2 * MARGIN * max(each.greedy_gap for each in measured))),
        choosing=choosing,
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.var(values)), float(np.max(values)))


def _widest(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        *(_rounded_up(MARGIN * max(getattr(each, name) for each in spreads)) for name in ("mean", "variance", "most"))
    )


def failed_share(
    told: Callable[[Sequence[Question]], list[Answer]],
    checker: Machine,
    model: ServedModel,
    way: str,
    count: int,
    seed: int,
    thresholds: Thresholds,
) -> float:
    """Which share of its answers fails when an executor tells what `told` tells."""
    answers = told(questions(model, way, count, seed))
    choosing = Choosing(**WAYS[way])
    verdicts = [
        judge(one.told, found, choosing, thresholds).passed
        for one, found in zip(answers, replay(checker, answers), strict=True)
    ]
    return 1 - sum(verdicts) / len(verdicts)


def caught(failing: float, preset: str = "mainnet", seed: int = 1) -> float:
    """How likely the chain's sequential test calls a host a fraud within CHECKED answers, when such a share of them fails."""
    params = preset_params(preset).validation_params
    test: Steps = steps(params)
    fails = np.random.default_rng(seed).random((RUNS, CHECKED)) < failing
    evidence, run = np.zeros(RUNS), np.zeros(RUNS, int)
    done = np.zeros(RUNS, bool)
    for number in range(CHECKED):
        failed = fails[:, number]
        evidence = np.maximum(evidence + np.where(failed, test.failed, test.passed), -test.bound)
        run = np.where(failed, run + 1, 0)
        full = number + 1 >= params.min_ramp_up_measurements
        done |= (run >= test.longest_run) | (full & (evidence >= test.bound))
    return float(done.mean())


def _cut(true: Machine, asked: Sequence[Question]) -> list[Answer]:
    cut = [replace(each, prompt=each.prompt[len(each.prompt) // 2 :]) for each in asked]
    return [replace(found, question=whole) for found, whole in zip(answer(true, cut), asked, strict=True)]


def _greedy(true: Machine, asked: Sequence[Question]) -> list[Answer]:
    tame = [replace(each, sampling=replace(each.sampling, temperature=0.0)) for each in asked]
    return [replace(found, question=wanted) for found, wanted in zip(answer(true, tame), asked, strict=True)]


def _excess_z(found: Sequence[Replayed], choosing: Choosing, thresholds: Thresholds) -> float:
    """By how many deviations an answer's surprisal is off, beyond what the thresholds let be whatever its length."""
    if not found:
        return 0.0
    leeway = thresholds.surprisal_drift * len(found) + thresholds.surprisal_slack
    shapes = surprise(found, choosing, gap=thresholds.greedy_gap)
    above = min((each.excess - leeway) / math.sqrt(each.variance + 1e-12) for each in shapes)
    below = min((-each.excess - leeway) / math.sqrt(each.variance + 1e-12) for each in shapes)
    return max(0.0, above, below)


def _rounded_up(value: float) -> float:
    """Two digits are enough."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
