"""Wagers against the choice of tokens: what they expect to gain on honest text, and what they gain on other."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pivot.api.validation.choice import Choosing
from pivot.api.validation.positions import Replayed
from pivot.api.validation.thresholds import CONFIDENCE
from pivot.api.validation.wagers import WAGERS, returns, together

CHANCES = (0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02)
WAYS = [
    Choosing(),
    Choosing(temperature=0.6),
    Choosing(temperature=1.6),
    Choosing(top_p=0.7),
    Choosing(temperature=0.7, top_p=0.8),
    Choosing(temperature=1.3, top_p=0.95),
    Choosing(top_k=3),
    Choosing(top_k=6),
    Choosing(temperature=1.2, top_k=6, top_p=0.9),
    Choosing(min_p=0.2),
    Choosing(temperature=0.8, min_p=0.05),
    Choosing(temperature=0.05),
]


def position(token: int, chances: Sequence[float] = CHANCES, known: int = 5) -> Replayed:
    top = tuple((index, str(index), math.log(chance)) for index, chance in enumerate(chances[:known]))
    return Replayed(token, str(token), math.log(chances[token]), top)


def asked(choosing: Choosing, chances: Sequence[float] = CHANCES, said: Sequence[int] = ()) -> list[float]:
    """The chances with which an engine chooses, as engines do it. chances: of the model, likeliest first."""
    scores = [
        math.log(chance) - choosing.frequency_penalty * said.count(token) - choosing.presence_penalty * (token in said)
        for token, chance in enumerate(chances)
    ]
    weights = [math.exp((score - max(scores)) / choosing.temperature) for score in scores]
    weights = [weight if weight >= choosing.min_p * max(weights) else 0.0 for weight in weights]
    ordered = sorted(range(len(weights)), key=lambda token: -weights[token])
    for token in ordered[choosing.top_k or len(ordered) :]:
        weights[token] = 0.0
    total, before = math.fsum(weights), 0.0
    for token in ordered:
        if before >= choosing.top_p * total:
            before, weights[token] = before + weights[token], 0.0
        else:
            before += weights[token]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def chosen(choosing: Choosing, count: int, seed: int) -> list[Replayed]:
    source = random.Random(seed)
    return [position(token) for token in source.choices(range(len(CHANCES)), asked(choosing), k=count)]


def won(positions: Sequence[Replayed], choosing: Choosing, *, gap: float = 0.0) -> float:
    return together(returns(positions, choosing, drift=0.0, gap=gap), exact=True)


def vocabularies() -> list[tuple[float, ...]]:
    """Peaked ones and flat ones."""
    source = random.Random(5)
    found = []
    for flatness in (0.1, 0.3, 1.0, 1.0, 3.0):
        weights = sorted((source.gammavariate(flatness, 1.0) + 1e-6 for _ in range(60)), reverse=True)
        found.append(tuple(weight / math.fsum(weights) for weight in weights))
    return found


@pytest.mark.parametrize("known", [5, 20])
@pytest.mark.parametrize("choosing", WAYS, ids=str)
def test_no_wager_expects_to_gain_on_text_that_was_chosen_as_asked(choosing: Choosing, known: int) -> None:
    """Exactly, over all tokens of a vocabulary: so none has c with more than a chance of 1 / c, ever."""
    for chances in vocabularies():
        expected = [0.0] * len(WAGERS)
        for token, chance in enumerate(asked(choosing, chances)):
            if chance:
                made = returns([position(token, chances, known)], choosing, drift=0.0, gap=0.0)
                expected = [sum_ + chance * math.exp(each) for sum_, each in zip(expected, made, strict=True)]
        assert max(expected) <= 1 + 1e-9


@pytest.mark.parametrize(
    "choosing", [replace(way, presence_penalty=0.7, frequency_penalty=0.4) for way in WAYS], ids=str
)
def test_no_wager_expects_to_gain_where_what_was_said_is_less_likely(choosing: Choosing) -> None:
    said = [0, 1, 1, 30]
    for chances in vocabularies():
        before = [position(token, chances, 20) for token in said]
        had = returns(before, choosing, drift=0.0, gap=0.0)
        expected = [0.0] * len(WAGERS)
        for token, chance in enumerate(asked(choosing, chances, said)):
            if chance:
                made = returns([*before, position(token, chances, 20)], choosing, drift=0.0, gap=0.0)
                gained = [math.exp(after - each) for after, each in zip(made, had, strict=True)]
                expected = [sum_ + chance * each for sum_, each in zip(expected, gained, strict=True)]
        assert max(expected) <= 1 + 1e-9


def test_wilder_wagers_expect_nothing_of_text_that_is_tamer_than_asked() -> None:
    for chances in vocabularies():
        for tamer in (Choosing(temperature=0.7), Choosing(top_p=0.8), Choosing(top_k=4), Choosing(min_p=0.1)):
            expected = [0.0] * len(WAGERS)
            for token, chance in enumerate(asked(tamer, chances)):
                if chance:
                    made = returns([position(token, chances, 20)], Choosing(), drift=0.0, gap=0.0)
                    expected = [sum_ + chance * math.exp(each) for sum_, each in zip(expected, made, strict=True)]
            assert max(each for each, wager in zip(expected, WAGERS, strict=True) if wager.wilder) <= 1 + 1e-9


@pytest.mark.parametrize("choosing", WAYS, ids=str)
def test_nobody_wins_against_what_was_chosen_as_asked(choosing: Choosing) -> None:
    assert max(won(chosen(choosing, 300, seed), choosing) for seed in range(20)) < 4


@pytest.mark.parametrize("choosing", WAYS, ids=str)
def test_text_that_ignores_what_is_likely_loses(choosing: Choosing) -> None:
    source = random.Random(2)
    text = [position(source.randrange(len(CHANCES))) for _ in range(400)]
    if choosing.temperature < 1.5:  # hot enough, and everything is as likely
        assert won(text, choosing) > CONFIDENCE


@pytest.mark.parametrize("choosing", [WAYS[0], WAYS[1], WAYS[2], WAYS[3], WAYS[6]], ids=str)
def test_always_the_likeliest_loses_where_chance_was_asked_for(choosing: Choosing) -> None:
    assert won([position(0)] * 100, choosing) > CONFIDENCE
    assert together(returns([position(0)] * 100, choosing, drift=0.0, gap=0.0), exact=False) < 0


def test_text_as_surprising_as_it_should_be_loses_if_its_tokens_are_either_likely_or_very_unlikely() -> None:
    """A cheap model's text, picked so that its mean surprisal is the true one's."""
    entropy = -math.fsum(chance * math.log(chance) for chance in CHANCES)
    low, high = -math.log(CHANCES[0]), -math.log(CHANCES[4])
    rare = round(400 * (entropy - low) / (high - low))
    text = [position(4)] * rare + [position(0)] * (400 - rare)
    assert abs(math.fsum(-each.logprob for each in text) - 400 * entropy) < 3
    assert won(text, Choosing()) > CONFIDENCE


def test_one_token_that_nobody_could_choose_is_enough() -> None:
    assert won([position(0)], Choosing(top_p=0.5)) < 1
    assert won([position(4)], Choosing(top_p=0.5)) > 8
    assert won([position(6)], Choosing(top_k=2)) > 8
    assert won([position(6)], Choosing(top_p=0.98)) < 2  # a nucleus that ends among unknown tokens


def test_log_probabilities_that_add_up_to_more_than_1_by_rounding_are_no_fault() -> None:
    sure = Replayed(0, "0", 0.0, ((0, "0", 0.0), (1, "1", -20.0), (2, "2", -9_999.0)))
    for temperature in (0.5, 1.0, 2.0):
        assert won([sure] * 50, Choosing(temperature=temperature)) < 0.1


@pytest.mark.parametrize(
    "choosing",
    [
        Choosing(temperature=1e-4),
        Choosing(temperature=1e-3, top_p=0.5),
        Choosing(temperature=1e300),
        Choosing(frequency_penalty=2.0),
        Choosing(temperature=1e-3, frequency_penalty=2.0, presence_penalty=2.0),
    ],
    ids=str,
)
def test_ways_to_choose_that_leave_no_weight_to_tokens_or_all_of_it_can_be_judged(choosing: Choosing) -> None:
    for token in (0, 1, 6):
        assert all(math.isfinite(each) for each in returns([position(token)] * 1_000, choosing, drift=0.01, gap=0.1))


def test_a_cold_text_of_likely_tokens_is_nobodys_fault() -> None:
    cold = Choosing(temperature=1e-3)
    assert won([position(0)] * 100, cold) < 0.1
    assert won([position(1)] * 100, cold) > CONFIDENCE


@pytest.mark.parametrize("choosing", [Choosing(top_k=1), Choosing(min_p=1.0), Choosing(top_p=0.01)], ids=str)
def test_two_tokens_that_rounding_may_have_exchanged_at_a_cut_win_nothing(choosing: Choosing) -> None:
    alike = [position(1, (0.4, 0.39, 0.1, 0.05, 0.03, 0.03))] * 3
    assert won(alike, choosing) > CONFIDENCE
    assert won(alike, choosing, gap=0.25) < 0.1
    unknown = [Replayed(9, "9", math.log(0.395), alike[0].top)] * 3
    assert won(unknown, choosing, gap=0.25) < 0.1
    assert won([position(1)] * 3, choosing, gap=0.25) > CONFIDENCE


def test_two_tokens_that_rounding_may_have_exchanged_in_the_cold_win_nothing() -> None:
    cold = Choosing(temperature=0.01)
    alike = [position(1, (0.4, 0.36, 0.1, 0.05, 0.04, 0.03))] * 3
    assert won(alike, cold) > CONFIDENCE
    assert won(alike, cold, gap=0.25) < 0.1
    assert won([position(1)] * 3, cold, gap=0.25) > CONFIDENCE


def test_what_rounding_may_add_is_taken_off_every_token_and_more_in_the_cold() -> None:
    text = [position(0)] * 10
    for temperature, each in ((1.0, 0.01), (2.0, 0.01), (0.5, 0.04)):
        choosing = Choosing(temperature=temperature)
        before, after = returns(text, choosing, drift=0.0, gap=0.0), returns(text, choosing, drift=0.01, gap=0.0)
        assert after == pytest.approx([had - 10 * each for had in before])
