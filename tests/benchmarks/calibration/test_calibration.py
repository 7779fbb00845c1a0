"""The calibration's script on few answers: honest pairs pass, plain frauds are caught, the tables are whole."""

import numpy as np
import pytest

from benchmarks.calibration import engines
from benchmarks.calibration.__main__ import tables
from benchmarks.calibration.engines import Machine, answer
from benchmarks.calibration.frauds import frauds
from benchmarks.calibration.histories import CHECKED, caught, highest_suspicion
from benchmarks.calibration.measurements import (
    FP16,
    Judged,
    apart,
    failed_share,
    honest_pairs,
    judged,
    thresholds_from,
)
from benchmarks.calibration.questions import LENGTHS, ROOT, WAYS, questions
from pivot.api.validation.choice import Choosing
from pivot.api.validation.purses import HELD
from pivot.api.validation.thresholds import MEASURED
from pivot.api.validation.wagers import WAGERS
from pivot.mlnode.engines.embedded.served import ServedModel

FEW = 5
MODEL = "pivot/tiny-chat"
FAILED, PASSED = Judged(failed=True, made=()), Judged(failed=False, made=())
"""Enough of answers that are caught, or pass, by themselves."""


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return engines.load(ROOT / "models" / "tiny-chat")


def test_honest_pairs_lie_within_the_thresholds_that_the_api_node_holds(model: ServedModel) -> None:
    thresholds = MEASURED[MODEL]
    for pair in honest_pairs(model, FP16).values():
        found = apart(pair, model, FEW, seed=5)
        assert found.positions > FEW
        for measured, held in ((found.distance, thresholds.distance), (found.shift, thresholds.shift)):
            assert measured.mean <= held.mean
            assert measured.most <= held.most
        assert found.greedy_gap <= thresholds.greedy_gap
        assert found.drift <= thresholds.drift


def test_honest_answers_pass_and_leave_their_host_above_suspicion(model: ServedModel) -> None:
    for pair in honest_pairs(model, FP16).values():
        found: list[Judged] = []
        for way in WAYS:
            answers = answer(pair.executor, questions(model, way, 2 * FEW, seed=6))
            found += judged(answers, pair.checker, way, MEASURED[MODEL])
        assert failed_share(found) == 0
        assert highest_suspicion(found) < 0.5
        assert caught(found) == 0


@pytest.mark.parametrize(
    ("name", "way", "count"),
    [
        ("a smaller model", "temperature 0", 2 * FEW),
        ("random weights", "temperature 0", 2 * FEW),
        ("4-bit weights", "temperature 0", 2 * FEW),
        ("8-bit weights", "temperature 0", 2 * FEW),
        ("half the prompt", "temperature 0", 2 * FEW),
        ("chance for what asks for greedy", "temperature 0", 4 * FEW),
        ("greedy for what asks for chance", "temperature 1", 6 * FEW),
        ("greedy for what asks for chance", "temperature 1.5", 6 * FEW),
        ("a smaller model's text, the true one's log-probabilities", "temperature 1", 6 * FEW),
    ],
)
def test_frauds_are_caught_within_a_hundred_checked_answers(
    model: ServedModel, name: str, way: str, count: int
) -> None:
    thresholds = MEASURED[MODEL]
    fraud = frauds(Machine(model), thresholds)[name]
    answers = fraud.answers(questions(model, way, count, seed=6))
    assert caught(judged(answers, Machine(model, engines.fp16, 4), way, thresholds)) >= 0.99


def test_hosts_are_caught_by_answers_that_fail_as_often_as_the_chain_wants_it() -> None:
    assert caught([PASSED] * 999 + [FAILED]) == 0.0
    assert 0 < caught([PASSED] * 17 + [FAILED] * 3) < 1
    assert caught([PASSED, FAILED]) == 1.0


def test_what_no_answer_shows_by_itself_convicts_when_most_checkers_have_seen_enough_of_it() -> None:
    slight = [Judged(failed=False, made=(0.5,) * len(WAGERS))]
    assert caught(slight) == 1.0
    assert caught(slight, checkers=CHECKED) == 0.0
    assert caught([Judged(failed=False, made=(-0.1,) * len(WAGERS))]) == 0.0
    assert highest_suspicion(slight * 3) == pytest.approx(np.log(sum(np.exp([0.5, 1.0, 1.5]))) / HELD)


def test_thresholds_lie_above_all_honest_pairs(model: ServedModel) -> None:
    measured = [apart(pair, model, 1, seed=1) for pair in honest_pairs(model, FP16).values()]
    thresholds = thresholds_from(measured, Choosing())
    assert thresholds.distance.mean > max(each.distance.mean for each in measured)
    assert thresholds.shift.most > max(each.shift.most for each in measured)


def test_questions_have_every_length_and_are_the_same_every_time(model: ServedModel) -> None:
    asked = questions(model, "temperature 1", 2 * len(LENGTHS), seed=1)
    assert [each.max_tokens for each in asked] == [*LENGTHS, *LENGTHS]
    assert asked == questions(model, "temperature 1", 2 * len(LENGTHS), seed=1)
    assert asked != questions(model, "temperature 1", 2 * len(LENGTHS), seed=2)


def test_the_same_seed_chooses_the_same_tokens_on_every_honest_machine(model: ServedModel) -> None:
    asked = questions(model, "temperature 0", FEW, seed=3)
    whole, half = answer(Machine(model), asked), answer(Machine(model, engines.fp16, 2), asked)
    assert sum(a.tokens == b.tokens for a, b in zip(whole, half, strict=True)) >= FEW - 1


def test_weights_in_few_bits_have_few_values() -> None:
    matrix = np.random.default_rng(1).standard_normal((3, 1_000)).astype(np.float32)
    assert all(len(np.unique(row)) <= 15 for row in engines.integers(4)(matrix))


def test_tables_name_every_pair_and_every_fraud() -> None:
    spread = {"mean": 0.1, "variance": 0.1, "most": 0.1}
    numbers = {"positions": 1, "distance": spread, "shift": spread, "greedy_gap": 0.1}
    fraud = {"failed": {"temperature 1": 0.5}, "all": 0.5, "caught": 1.0, "caught by several": 0.9}
    alarms = {"failed": 0, "answers": 3_000, "suspicion": 0.2}
    one = {
        "pairs": {"a, b": numbers},
        "thresholds": {},
        "false alarms": {"a, b": alarms},
        "frauds": {"cheap": fraud},
    }
    told = tables({"models": {"tiny": one}})
    assert "| a, b | 1 | 0.1 |" in told
    assert "0 of 3000 honest answers failed, so at most 1.0e-03 do" in told
    assert "| cheap |  |  | 0.50 |  |  | 0.50 | 1.000 | 0.900 |" in told
