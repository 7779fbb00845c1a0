"""The judgement of an answer from what was told and what was found."""

import math
from dataclasses import replace

import pytest

from benchmarks.calibration.engines import Answer, Machine, Question, answer, fp16, replay, retold, without_last_layer
from pivot.api.validation.choice import Choosing
from pivot.api.validation.judge import (
    FORESEEN_CONFIDENCE,
    MILLION,
    judge,
    position_distance,
    position_shift,
    same_text,
)
from pivot.api.validation.positions import Replayed, Told
from pivot.api.validation.thresholds import CONFIDENCE, MEASURED, UNMEASURED, thresholds_of
from pivot.api.validation.wagers import WAGERS
from pivot.mlnode.engines.embedded.requests import ChatMessage
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.served import ServedModel

TOP = [("a", -0.2), ("b", -2.0), ("c", -3.0), ("d", -4.0), ("e", -5.0)]
KNOWN = tuple((number, text, logprob) for number, (text, logprob) in enumerate(TOP))
HONEST: Told = ("a", -0.2, TOP)
FOUND = Replayed(0, "a", -0.2, KNOWN)
GREEDY = Choosing(temperature=0.0)


def told(*positions: Told) -> list[Told]:
    return list(positions)


def test_the_same_log_probabilities_pass_with_full_similarity() -> None:
    found = judge([HONEST] * 7, [FOUND] * 7, GREEDY, UNMEASURED)
    assert (found.passed, found.value_e6, found.reason) == (True, MILLION, "")


def test_the_published_distance() -> None:
    """Spec api.md, 6.3: a token that is missing is estimated from the two smallest."""
    shifted = [(text, logprob - 0.1) for text, logprob in TOP]
    each = sum(0.1 / (1e-6 + abs(x) + abs(x - 0.1)) / 2 for _, x in TOP)
    assert position_distance(shifted, FOUND) == pytest.approx(each)
    without_a = [("z", -0.3), *TOP[1:]]
    estimate = 2 * -5.0 - -4.0
    assert position_distance(without_a, FOUND) == pytest.approx(abs(-0.2 - estimate) / (1e-6 + 0.2 + 6.0) / 2)
    alone = abs(-2.0 - (-0.2 + 100)) / (1e-6 + 2.0 + 99.8) / 2
    assert position_distance([("a", -0.2)], FOUND) == pytest.approx(
        alone + sum(abs(x - 99.8) / (1e-6 + abs(x) + 99.8) / 2 for x in (-3.0, -4.0, -5.0))
    )


def test_the_similarity_is_the_published_one() -> None:
    told_other = [("a", -0.21, [("a", -0.21), *TOP[1:]])] * 3
    found = judge(told_other, [FOUND] * 3, GREEDY, UNMEASURED)
    distance = 3 * 0.01 / (1e-6 + 0.41) / 2
    assert found.value_e6 == int((1 - distance / 500) * MILLION)


def test_a_chosen_token_that_an_engine_lists_in_the_last_place_is_compared_there() -> None:
    chosen = ("z", -9.0, [*TOP[:4], ("z", -9.0)])
    found = Replayed(77, "z", -9.0, KNOWN)
    assert position_distance(chosen[2], found) == 0.0
    assert position_distance(TOP, found) == 0.0


def test_tokens_that_are_no_whole_character_are_told_apart_by_their_rank() -> None:
    broken = [("\ufffd", -0.2), ("b", -2.0), ("\ufffd\ufffd", -3.0), ("d", -4.0), ("e", -5.0)]
    other = Replayed(0, "x", -0.2, tuple((n, "~\ufffd" if "\ufffd" in t else t, p) for n, (t, p) in enumerate(broken)))
    assert position_distance(broken, other) == 0.0
    assert same_text("\ufffd", "x")
    assert not same_text("a", "b")


def test_m_item34_another_length_or_another_token_fails() -> None:
    assert not judge([HONEST] * 2, [FOUND] * 3, None, UNMEASURED).passed
    assert "token 1" in judge([HONEST, ("b", -0.2, TOP)], [FOUND, FOUND], None, UNMEASURED).reason


@pytest.mark.parametrize("count", [1, 4, 30])
def test_m_item34_a_short_answer_is_held_to_what_honest_ones_of_its_length_do(count: int) -> None:
    far = ("a", -1.0, [("a", -1.0), ("b", -1.2), ("c", -1.4), ("d", -1.6), ("e", -2.0)])
    assert not judge([far] * count, [FOUND] * count, None, UNMEASURED).passed


def test_limits_are_the_stricter_the_longer_the_answer_and_never_above_a_single_positions() -> None:
    for spread in (UNMEASURED.distance, UNMEASURED.shift):
        limits = [spread.limit(count) for count in (1, 4, 16, 64, 256, 4_096)]
        assert limits == sorted(limits, reverse=True)
        assert limits[0] == spread.most
        assert spread.mean < limits[-1] < 2 * spread.mean


def test_log_probabilities_that_are_all_a_little_off_fail_though_the_published_distance_is_small() -> None:
    """Weights in fewer bits move unlikely tokens, which the published distance, relative as it is, hardly sees."""
    unlikely = [(text, -20.0 - number) for number, (text, _) in enumerate(TOP)]
    known = tuple((number, text, logprob + 0.5) for number, (text, logprob) in enumerate(unlikely))
    found = [Replayed(0, "a", -19.5, known)] * 50
    wrong = judge([("a", -20.0, unlikely)] * 50, found, None, UNMEASURED)
    assert wrong.value_e6 > 980_000
    assert "0.5000 apart" in wrong.reason
    assert position_shift([("z", -1.0)], FOUND) == 0.0


def test_what_is_usual_within_an_answer_counts_beside_the_mean() -> None:
    """Weights in 8 bits move every position a little; honest rounding moves few, and may move them far."""
    strict = replace(UNMEASURED, usual_shift=0.01)
    moved = [("a", -0.25, [(text, logprob - 0.05) for text, logprob in TOP])]
    assert "apart at half of 20 tokens" in judge(moved * 20, [FOUND] * 20, None, strict).reason
    assert judge(moved * 20, [FOUND] * 20, None, UNMEASURED).passed
    assert judge([*moved * 9, *[HONEST] * 11], [FOUND] * 20, None, strict).passed
    assert judge(moved * 3, [FOUND] * 3, None, strict).passed


def test_an_answer_without_tokens_has_nothing_wrong_with_it() -> None:
    assert judge([], [], GREEDY, UNMEASURED).passed


def test_a_registrations_own_threshold_counts_too() -> None:
    near = [("a", -0.201, [("a", -0.201), *TOP[1:]])] * 200
    assert judge(near, [FOUND] * 200, None, UNMEASURED).passed
    refused = judge(near, [FOUND] * 200, None, UNMEASURED, least_similarity=0.9999)
    assert "registration" in refused.reason


def test_at_temperature_0_every_token_is_the_top_one() -> None:
    second = Replayed(1, "b", -2.0, KNOWN)
    found = judge([HONEST, ("b", -2.0, TOP)], [FOUND, second], GREEDY, UNMEASURED)
    assert "1.800 nats below" in found.reason
    assert judge([HONEST, ("b", -2.0, TOP)], [FOUND, second], Choosing(), UNMEASURED).passed
    assert judge([HONEST, ("b", -2.0, TOP)], [FOUND, second], None, UNMEASURED).passed


def test_text_that_is_too_tame_fails_where_nothing_else_decides() -> None:
    even = [
        ("a", math.log(0.3)),
        ("b", math.log(0.3)),
        ("c", math.log(0.2)),
        ("d", math.log(0.1)),
        ("e", math.log(0.1)),
    ]
    known = tuple((number, text, logprob) for number, (text, logprob) in enumerate(even))
    sure = [("a", math.log(0.96)), *((text, math.log(0.01)) for text in "bcde")]
    peaked = tuple((number, text, logprob) for number, (text, logprob) in enumerate(sure))
    replayed = [Replayed(0, "a", even[0][1], known)] * 400
    wanted = [("a", even[0][1], even)] * 400
    found = judge(wanted, replayed, Choosing(), UNMEASURED)
    assert "not chosen as asked" in found.reason
    assert max(found.made) > CONFIDENCE
    assert len(found.made) == len(WAGERS)
    guessed = judge(wanted, replayed, Choosing(exact=False), UNMEASURED)
    assert guessed.passed
    assert guessed.made == ()  # what a host's defaults are is not known, so nothing adds up
    assert judge(
        [("a", sure[0][1], sure)] * 100, [Replayed(0, "a", sure[0][1], peaked)] * 100, Choosing(), UNMEASURED
    ).passed


def test_a_developer_that_tries_seeds_until_a_text_is_strange_makes_no_honest_host_a_fraud() -> None:
    """A text that comes up once in a million tries is a failure only if nobody could have looked for it."""
    chances = [0.5, 0.3, 0.1, 0.05, 0.05]
    known = tuple((number, str(number), math.log(chance)) for number, chance in enumerate(chances))
    told_of = [(text, value) for _, text, value in known]
    strange = [Replayed(0, "0", known[0][2], known)] * 25
    wanted = [("0", known[0][2], told_of)] * 25
    assert CONFIDENCE < 25 * math.log(2) < FORESEEN_CONFIDENCE
    assert not judge(wanted, strange, Choosing(), UNMEASURED).passed
    foreseen = judge(wanted, strange, Choosing(foreseen=True), UNMEASURED)
    assert foreseen.passed
    assert foreseen.made == ()
    assert not judge(wanted * 2, strange * 2, Choosing(foreseen=True), UNMEASURED).passed


def questions(model: ServedModel, sampling: Sampling) -> list[Question]:
    texts = ("What is an epoch?", "Who pays for a request?", "How do I become a host?", "Tell me about weight.")
    prompts = [tuple(model.chat_prompt([ChatMessage(role="user", content=text)])) for text in texts]
    return [Question(prompt, sampling, 40) for prompt in prompts]


def failed(answers: list[Answer], checker: Machine, choosing: Choosing, model: ServedModel) -> int:
    thresholds, _ = thresholds_of(model.name, {})
    found = zip(answers, replay(checker, answers), strict=True)
    return sum(not judge(one.told, replayed, choosing, thresholds).passed for one, replayed in found)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_m_item34_text_of_a_cheap_model_with_the_true_ones_log_probabilities_fails(
    tiny_model: ServedModel, temperature: float
) -> None:
    """The pre-fill attack: one prefill of the true model instead of its decoding."""
    true, cheap = Machine(tiny_model), Machine(without_last_layer(without_last_layer(tiny_model)))
    asked = questions(tiny_model, Sampling(temperature=temperature, seed=1))
    told_truly = retold(true, answer(cheap, asked))
    assert failed(told_truly, Machine(tiny_model, fp16), Choosing(temperature=temperature), tiny_model) >= 3
    honest = answer(true, asked)
    assert failed(honest, Machine(tiny_model, fp16), Choosing(temperature=temperature), tiny_model) == 0


def test_a_model_that_was_not_measured_has_the_published_thresholds() -> None:
    found, choosing = thresholds_of("org/other", {})
    assert found is UNMEASURED
    assert not choosing.exact  # its files may say more
    assert thresholds_of("org/other", {"--generation-config": "vllm"})[1].exact
    overridden = {"--generation-config": "vllm", "--override-generation-config": '{"top_k": 5}'}
    assert not thresholds_of("org/other", overridden)[1].exact
    for model, measured in MEASURED.items():
        assert thresholds_of(model, {})[0] == measured
        assert replace(measured, choosing=None).distance.most > measured.distance.mean
