"""Machines that cheat: each computes less, or chooses otherwise than it was asked, and tells what suits it best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.calibration import engines
from benchmarks.calibration.engines import Answer, Machine, Question, answer, replay, retold, with_weights
from benchmarks.calibration.questions import WAYS
from pivot.api.validation.choice import Choosing
from pivot.api.validation.thresholds import Thresholds
from pivot.api.validation.wagers import returns, together
from pivot.mlnode.engines.embedded.sampling import Sampling

PICKED_FROM = 8
"""Texts of a cheap model, of which one that cheats knowingly tells the one that the judge likes best."""
COLDER = 0.8

Answering = Callable[[Sequence[Question]], list[Answer]]


class Fraud(NamedTuple):
    """How it answers, and to which ways of choosing it answers otherwise than an honest machine."""

    answers: Answering
    ways: tuple[str, ...] = tuple(WAYS)
    costly: bool = False
    """Whether it takes so long that fewer answers must do."""


BY_CHANCE = tuple(way for way, settings in WAYS.items() if settings["temperature"])


def frauds(true: Machine, thresholds: Thresholds) -> Mapping[str, Fraud]:
    """All frauds against a model. true: the honest machine, whose arithmetic they have too."""
    model = true.model
    cheap = replace(true, model=engines.without_last_layer(model))
    eight = replace(true, model=with_weights(model, engines.integers(8)))
    return {
        "a smaller model": Fraud(lambda asked: answer(cheap, asked)),
        "random weights": Fraud(lambda asked: answer(replace(true, model=engines.random_weights(model)), asked)),
        "4-bit weights": Fraud(
            lambda asked: answer(replace(true, model=with_weights(model, engines.integers(4))), asked)
        ),
        "8-bit weights": Fraud(lambda asked: answer(eight, asked)),
        "8-bit weights and activations": Fraud(
            lambda asked: answer(replace(eight, product=engines.int8_activations), asked)
        ),
        "half the prompt": Fraud(lambda asked: _cut(true, asked)),
        "greedy for what asks for chance": Fraud(_otherwise(true, temperature=0.0), BY_CHANCE),
        "chance for what asks for greedy": Fraud(_otherwise(true, temperature=1.0), ("temperature 0",)),
        "temperature 1 without cuts, whatever is asked": Fraud(
            _otherwise(true, temperature=1.0, top_p=1.0, top_k=0), tuple(w for w in WAYS if w != "temperature 1")
        ),
        "temperature 0.7, top_p 0.8, whatever is asked": Fraud(
            _otherwise(true, temperature=0.7, top_p=0.8),
            ("temperature 1", "temperature 1, top_k 20", "temperature 1.5"),
        ),
        "a smaller model's text, the true one's log-probabilities": Fraud(
            lambda asked: retold(true, answer(cheap, asked))
        ),
        "the same, chosen colder": Fraud(lambda asked: retold(true, _colder(cheap, asked)), BY_CHANCE),
        f"the same, the least suspicious of {PICKED_FROM}": Fraud(
            lambda asked: _picked(true, cheap, asked, thresholds), BY_CHANCE, costly=True
        ),
    }


def _cut(true: Machine, asked: Sequence[Question]) -> list[Answer]:
    cut = [replace(each, prompt=each.prompt[len(each.prompt) // 2 :]) for each in asked]
    return [replace(found, question=whole) for found, whole in zip(answer(true, cut), asked, strict=True)]


def _otherwise(true: Machine, **settings: float) -> Answering:
    """Tokens chosen by other settings than those that were asked for."""

    def answers(asked: Sequence[Question]) -> list[Answer]:
        other = [replace(each, sampling=replace(each.sampling, **settings)) for each in asked]
        return [replace(found, question=wanted) for found, wanted in zip(answer(true, other), asked, strict=True)]

    return answers


def _colder(cheap: Machine, asked: Sequence[Question]) -> list[Answer]:
    """A cheap model errs towards text that the true one finds surprising; a lower temperature makes up for it on average."""
    other = [
        replace(each, sampling=replace(each.sampling, temperature=COLDER * each.sampling.temperature)) for each in asked
    ]
    return [replace(found, question=wanted) for found, wanted in zip(answer(cheap, other), asked, strict=True)]


def _picked(true: Machine, cheap: Machine, asked: Sequence[Question], thresholds: Thresholds) -> list[Answer]:
    """Of several texts of a cheap model the one against which the judge's own wagers make least: as many prefills of the true one."""
    best: list[tuple[float, Answer]] = []
    for number in range(PICKED_FROM):
        seeded = [replace(each, sampling=replace(each.sampling, seed=_seed(each.sampling, number))) for each in asked]
        answers = retold(true, answer(cheap, seeded))
        for place, (one, found) in enumerate(zip(answers, replay(true, answers), strict=True)):
            sampling = one.question.sampling
            choosing = Choosing(sampling.temperature, sampling.top_p, sampling.top_k)
            made = returns(found, choosing, drift=thresholds.drift, gap=thresholds.greedy_gap)
            rated = together(made, exact=True), one
            if number == 0:
                best.append(rated)
            else:
                best[place] = min(best[place], rated, key=lambda each: each[0])
    return [one for _, one in best]


def _seed(sampling: Sampling, number: int) -> int:
    return (sampling.seed or 0) + number
