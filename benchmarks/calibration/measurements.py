"""What is measured: how far honest pairs lie apart, and what the judge says of answers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from statistics import median_low
from typing import NamedTuple

import numpy as np

from benchmarks.calibration import engines
from benchmarks.calibration.engines import Answer, Machine, Product, answer, replay
from benchmarks.calibration.questions import WAYS, questions
from pivot.api.validation.choice import Choosing, greedy_gap
from pivot.api.validation.judge import LEAST_FOR_USUAL, judge, position_distance, position_shift
from pivot.api.validation.positions import Replayed
from pivot.api.validation.thresholds import UNMEASURED, Spread, Thresholds
from pivot.api.validation.wagers import returns
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.protocol.engine_arguments import LEAST_LOGPROBS

MARGIN = 1.5
"""By so much the thresholds lie above what honest pairs were measured to do."""
LEAST_GAP = 0.25
"""Ties are rare, so few answers show how far 16-bit machines may stand apart at one."""
DRIFT_MARGIN = 5.0
"""By so much `drift` lies above the mean that rounding was measured to add: its sign is a matter of luck."""
LEAST_DRIFT = 0.001
"""Nats per token at temperature 1."""


class Arithmetic(NamedTuple):
    """What a network's machines compute with: two kinds of machine, and in which the model is served."""

    served: Product
    other: Product
    names: tuple[str, str]


FP16 = Arithmetic(engines.fp16, engines.fp32, ("fp16", "fp32"))
BF16 = Arithmetic(engines.bf16, engines.bf16_in_pieces, ("bf16", "bf16 in another order"))


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
    usual_shift: float
    """The highest median of an answer's shifts."""
    drift: float
    """Nats per token at temperature 1 between what wagers make of the executor's own chances and of the checker's: the largest mean."""


class Judged(NamedTuple):
    """What a checker finds of one answer."""

    failed: bool
    made: tuple[float, ...]


def honest_pairs(model: ServedModel, arithmetic: Arithmetic) -> Mapping[str, Pair]:
    """Other arithmetic, other order of sums, other batches; the executor decodes token by token, the checker reads all at once."""
    served, other = Machine(model, arithmetic.served), Machine(model, arithmetic.other, 4)
    first, second = arithmetic.names
    pairs = {
        f"{first}, {second}": Pair(served, other),
        f"{second}, {first}": Pair(replace(other, together=32), replace(served, together=4)),
    }
    if arithmetic is FP16:
        pairs["fp32, fp32 in another order"] = Pair(Machine(model), Machine(model, engines.in_pieces, 1))
    return pairs


def apart(pair: Pair, model: ServedModel, count: int, seed: int) -> Apart:
    """How far a pair lies apart over all ways to choose."""
    distances: list[float] = []
    shifts: list[float] = []
    gap, usual, drift = 0.0, 0.0, 0.0
    for way, settings in WAYS.items():
        choosing = Choosing(**settings)
        answers = answer(pair.executor, questions(model, way, count, seed))
        replayed = replay(pair.checker, answers)
        if not choosing.greedy:
            drift = max(drift, _drift(replay(pair.executor, answers), replayed, choosing))
        for one, found in zip(answers, replayed, strict=True):
            tops = [(position[2], each) for position, each in zip(one.told, found, strict=True)]
            distances += [total / LEAST_LOGPROBS for total in starmap(position_distance, tops)]
            of_answer = list(starmap(position_shift, tops))
            shifts += of_answer
            if len(of_answer) >= LEAST_FOR_USUAL:
                usual = max(usual, median_low(of_answer))
            if choosing.greedy:
                gap = max(gap, greedy_gap(found, choosing))
    return Apart(len(distances), _spread(distances), _spread(shifts), gap, usual, drift)


def thresholds_from(measured: Sequence[Apart], choosing: Choosing) -> Thresholds:
    """Thresholds that all honest pairs keep, with MARGIN."""
    return replace(
        UNMEASURED,
        distance=_widest([each.distance for each in measured]),
        shift=_widest([each.shift for each in measured]),
        greedy_gap=max(LEAST_GAP, _rounded_up(2 * MARGIN * max(each.greedy_gap for each in measured))),
        usual_shift=_rounded_up(MARGIN * max(each.usual_shift for each in measured)),
        drift=max(LEAST_DRIFT, _rounded_up(DRIFT_MARGIN * max(each.drift for each in measured))),
        choosing=choosing,
    )


def judged(answers: Sequence[Answer], checker: Machine, way: str, thresholds: Thresholds) -> list[Judged]:
    """What a checker says of answers to questions that want their tokens chosen in this way."""
    choosing = Choosing(**WAYS[way])
    found = (
        judge(one.told, replayed, choosing, thresholds)
        for one, replayed in zip(answers, replay(checker, answers), strict=True)
    )
    return [Judged(not each.passed, each.made) for each in found]


def failed_share(found: Iterable[Judged]) -> float:
    """Which share of answers fails."""
    return float(np.mean([each.failed for each in found]))


def _drift(own: Sequence[Sequence[Replayed]], others: Sequence[Sequence[Replayed]], choosing: Choosing) -> float:
    """Nats per token at temperature 1 that the wager has won or lost which another machine's chances have moved most."""
    made = [
        np.sum([returns(each, choosing, drift=0.0, gap=LEAST_GAP) for each in texts], axis=0) for texts in (own, others)
    ]
    tokens = sum(map(len, own))
    return float(np.abs(made[0] - made[1]).max()) / tokens * min(1.0, choosing.temperature) ** 2


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.var(values)), float(np.max(values)))


def _widest(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        *(_rounded_up(MARGIN * max(getattr(each, name) for each in spreads)) for name in ("mean", "variance", "most"))
    )


def _rounded_up(value: float) -> float:
    """Two digits are enough."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
