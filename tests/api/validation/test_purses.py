"""What adds up over a host's answers."""

import random

from pivot.api.validation.choice import Choosing
from pivot.api.validation.judge import judge
from pivot.api.validation.purses import HELD, MAX_PURSES, MOST, Purses
from pivot.api.validation.thresholds import MEASURED
from pivot.api.validation.wagers import returns
from tests.api.validation.test_wagers import CHANCES, chosen, position

THRESHOLDS = MEASURED["pivot/tiny-chat"]
SHORT = 12
"""Tokens of answers that are too short to show anything by themselves."""


def of(tokens: list[int]) -> list[float]:
    return returns([position(token) for token in tokens], Choosing(), drift=THRESHOLDS.drift, gap=THRESHOLDS.greedy_gap)


def answers_until_suspected(purses: Purses, tokens: list[int], most: int = 100) -> int:
    for number in range(most):
        purses.add("host", "model", of(tokens))
        if purses.suspicion("host", "model") > HELD:
            return number + 1
    return 0


def test_greedy_answers_where_chance_was_asked_for_add_up_though_each_passes() -> None:
    text = [position(0)] * SHORT
    told = [(each.text, each.logprob, [(name, value) for _, name, value in each.top]) for each in text]
    assert judge(told, text, Choosing(), THRESHOLDS).passed
    assert 1 < answers_until_suspected(Purses(), [0] * SHORT) < 20


def test_honest_answers_add_up_to_nothing_and_earn_no_credit_for_later() -> None:
    purses = Purses()
    highest = -100.0
    for seed in range(1_000):
        made = returns(chosen(Choosing(), SHORT, seed), Choosing(), drift=THRESHOLDS.drift, gap=THRESHOLDS.greedy_gap)
        purses.add("host", "model", made)
        highest = max(highest, purses.suspicion("host", "model"))
    assert highest < HELD / 2
    assert 1 < answers_until_suspected(purses, [0] * SHORT) < 20


def test_a_host_that_mends_its_ways_is_believed_again() -> None:
    purses = Purses()
    for _ in range(1_000):
        purses.add("host", "model", of([0] * SHORT))
    assert HELD < purses.suspicion("host", "model") <= MOST
    source = random.Random(1)
    for _ in range(30):
        purses.add("host", "model", of(source.choices(range(len(CHANCES)), CHANCES, k=SHORT)))
    assert purses.suspicion("host", "model") < HELD


def test_hosts_and_models_have_purses_of_their_own_and_not_too_many_are_kept() -> None:
    purses = Purses()
    purses.add("host", "model", [20.0] * 3)
    assert purses.suspicion("host", "other") == purses.suspicion("other", "model") == float("-inf")
    for number in range(MAX_PURSES):
        purses.add(f"host {number}", "model", [0.0] * 3)
    assert purses.suspicion("host", "model") == float("-inf")
    assert purses.suspicion("host 0", "model") == 0.0
