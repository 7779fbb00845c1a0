"""The draw of checkers: as many checks as the formula says, by a number that nobody can foresee."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.fixed_point import ONE
from pivot.protocol.duties import Answer, answer, drawn, minimum_average
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceValidationDetails
from pivot.protocol.parameters import preset_params

PARAMS = preset_params("mainnet").validation_params
MODEL = "org/model"
ELEMENT = hashlib.sha256(b"element").digest()


def details(number: int = 0, **fields: object) -> InferenceValidationDetails:
    return InferenceValidationDetails(
        **{
            "inference_id": f"id {number}",
            "executor_id": "executor",
            "model": MODEL,
            "traffic_basis": 10_000,
            "executor_power": 100,
            "total_power": 1_100,
            **fields,
        }
    )


def share(answers: list[Answer], power: int, checker: str = "checker") -> float:
    return len(drawn(ELEMENT, answers, checker, {MODEL: power})) / len(answers)


@pytest.mark.parametrize(
    ("traffic", "average"),
    [
        (0, "1"),
        (100, "1"),
        (101, "0.999806122448979591"),
        (2_550, "0.525"),
        (5_000, "0.05"),
        (7_500, "0.03"),
        (9_999, "0.010008"),
        (10_000, "0.01"),
        (10**9, "0.01"),
    ],
)
def test_the_average_follows_the_published_line(traffic: int, average: str) -> None:
    whole, _, fraction = average.partition(".")
    assert minimum_average(PARAMS, traffic) == int(whole + fraction.ljust(18, "0"))


@given(st.integers(0, 20_000))
def test_more_traffic_never_gets_more_checks(traffic: int) -> None:
    assert minimum_average(PARAMS, traffic) >= minimum_average(PARAMS, traffic + 1)


@given(st.integers(2, 50), st.integers(0, 24), st.integers(0, 60))
def test_w22_no_cutoffs_divide_by_nothing(full: int, least: int, traffic: int) -> None:
    params = ValidationParams()
    params.CopyFrom(PARAMS)
    params.full_validation_traffic_cutoff = full
    params.min_validation_traffic_cutoff = min(least, full // 2 - 1)
    assert 10**16 <= minimum_average(params, traffic) <= ONE


@pytest.mark.parametrize(("reputation", "expected"), [(0, 0.1), (50, 0.0505), (100, 0.001), (1_000, 0.001), (-5, 0.1)])
def test_reputation_and_weight_decide_how_often_a_host_checks(reputation: int, expected: float) -> None:
    answers = [answer(PARAMS, details(number, executor_reputation=reputation)) for number in range(20_000)]
    assert share(answers, 100) == pytest.approx(expected, rel=0.25)


def test_the_checks_of_all_hosts_add_up_to_the_average() -> None:
    answers = [answer(PARAMS, details(number)) for number in range(2_000)]
    checkers = [f"checker {number}" for number in range(10)]
    checks = sum(share(answers, 100, checker) for checker in checkers)
    assert checks == pytest.approx(1, rel=0.1)


def test_whoever_weighs_enough_checks_everything() -> None:
    answers = [answer(PARAMS, details(number)) for number in range(100)]
    assert share(answers, 1_000) == 1


def test_w22_without_others_nobody_is_drawn() -> None:
    alone = answer(PARAMS, details(executor_power=1_100))
    beyond = answer(PARAMS, details(executor_power=2_000))
    assert (alone.others, beyond.others) == (0, 0)
    assert drawn(ELEMENT, [alone, beyond], "checker", {MODEL: 10**6}) == []


def test_w22_weights_are_not_cut_to_32_bits() -> None:
    answers = [answer(PARAMS, details(number, total_power=11 * 2**40, executor_power=2**40)) for number in range(2_000)]
    assert share(answers, 2**40) == pytest.approx(0.1, rel=0.25)


def test_nobody_is_drawn_for_its_own_answer_or_another_model() -> None:
    own = answer(PARAMS, details(executor_id="checker"))
    assert drawn(ELEMENT, [own], "checker", {MODEL: 10**6}) == []
    assert drawn(ELEMENT, [answer(PARAMS, details())], "checker", {"org/other": 10**6}) == []


def test_the_draw_follows_the_element_and_the_host() -> None:
    answers = [answer(PARAMS, details(number)) for number in range(1_000)]
    first = drawn(ELEMENT, answers, "checker", {MODEL: 500})
    assert first == drawn(ELEMENT, list(answers), "checker", {MODEL: 500})
    assert first == [each for each in first if each in {other.inference_id for other in answers}]
    assert first != drawn(hashlib.sha256(b"other").digest(), answers, "checker", {MODEL: 500})
    assert first != drawn(ELEMENT, answers, "friend", {MODEL: 500})


def test_the_draw_of_an_answer_does_not_depend_on_the_others() -> None:
    answers = [answer(PARAMS, details(number)) for number in range(200)]
    first = drawn(ELEMENT, answers, "checker", {MODEL: 500})
    one_by_one = [each.inference_id for each in answers if drawn(ELEMENT, [each], "checker", {MODEL: 500})]
    assert first == one_by_one


def test_the_draw_has_its_vectors() -> None:
    answers = [answer(PARAMS, details(number)) for number in range(20)]
    expected = [1, 3, 8, 12, 15, 18]
    assert drawn(ELEMENT, answers, "checker", {MODEL: 300}) == [f"id {number}" for number in expected]
