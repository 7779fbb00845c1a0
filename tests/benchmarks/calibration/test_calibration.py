"""The calibration's script on few answers: honest pairs pass, plain frauds are caught, the tables are whole."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration import engines
from benchmarks.calibration.__main__ import tables
from benchmarks.calibration.engines import Machine, answer
from benchmarks.calibration.measurements import apart, caught, failed_share, frauds, honest_pairs, thresholds_from
from benchmarks.calibration.questions import LENGTHS, ROOT, WAYS, questions
from pivot.api.validation.choice import Choosing
from pivot.api.validation.thresholds import MEASURED
from pivot.mlnode.engines.embedded.served import ServedModel

FEW = 5
MODEL = "pivot/tiny-chat"


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return engines.load(ROOT / "models" / "tiny-chat")


def test_honest_pairs_lie_within_the_thresholds_that_the_api_node_holds(model: ServedModel) -> None:
    thresholds = MEASURED[MODEL]
    for pair in honest_pairs(model).values():
        found = apart(pair, model, FEW, seed=5)
        assert found.positions > FEW
        for measured, held in ((found.distance, thresholds.distance), (found.shift, thresholds.shift)):
            assert measured.mean <= held.mean
            assert measured.most <= held.most
        assert found.greedy_gap <= thresholds.greedy_gap


@pytest.mark.parametrize(
    "name", ["a smaller model", "random weights", "4-bit weights", "8-bit weights", "half the prompt"]
)
def test_plain_frauds_fail_often_enough_to_be_caught(model: ServedModel, name: str) -> None:
    fraud, checker = frauds(model)[name], Machine(model, engines.fp16, 4)
    way = "temperature 0"
    share = failed_share(lambda asked: fraud(Machine(model), asked), checker, model, way, 2 * FEW, 6, MEASURED[MODEL])
    assert caught(share) >= 0.99


def test_an_honest_host_is_not_caught() -> None:
    assert caught(0.001) == 0.0
    assert 0 < caught(0.15) < 1
    assert caught(0.5) == 1.0


def test_thresholds_lie_above_all_honest_pairs(model: ServedModel) -> None:
    measured = [apart(pair, model, 1, seed=1) for pair in honest_pairs(model).values()]
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
    numbers = {"positions": 1, "distance": spread, "shift": spread, "greedy_gap": 0.1, "excess_z": 0.1}
    fraud = {"failed": dict.fromkeys(WAYS, 0.5), "all": 0.5, "caught": 1.0}
    alarms = {"failed": 0, "answers": 10}
    one = {"pairs": {"a, b": numbers}, "thresholds": {}, "false alarms": alarms, "frauds": {"cheap": fraud}}
    told = tables({"models": {"tiny": one}})
    assert "| a, b | 1 | 0.1 |" in told
    assert "0 of 10 honest answers failed" in told
    assert "| cheap |" in told
    assert Path(engines.__file__).parent.name == "calibration"
