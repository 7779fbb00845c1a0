"""Opens with failures, tries with one request, closes with a success."""

import pytest

from pivot.api.breaker import Breaker


def test_it_opens_with_a_failure_tries_with_one_request_and_closes_with_a_success() -> None:
    breaker = Breaker(10.0, 300.0)
    assert not breaker.is_open(0.0)
    assert breaker.failed(0.0)
    assert breaker.is_open(9.9)
    assert not breaker.is_open(10.0)
    with breaker.asked():
        assert breaker.is_open(10.0)  # for all others
        breaker.succeeded(11.0)
    assert not breaker.is_open(11.0)
    assert (breaker.failures, breaker.openings) == (0, 0)


def test_each_further_failure_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now_s, pauses = Breaker(10.0, 300.0), 0.0, []
    for _ in range(50):
        breaker.failed(now_s)
        pauses.append(breaker.open_until_s - now_s)
        now_s = breaker.open_until_s
    assert pauses == [10, 20, 40, 80, 160] + [300] * 45


def test_what_fails_while_it_is_open_was_asked_before_and_prolongs_nothing() -> None:
    breaker = Breaker(10.0, 300.0)
    for now_s in (0.0, 0.1, 9.9):
        breaker.failed(now_s)
    assert not breaker.is_open(10.0)
    breaker.failed(10.0)
    assert breaker.open_until_s == 30.0


def test_a_trial_that_ends_without_a_word_is_followed_by_another() -> None:
    breaker = Breaker(10.0, 300.0)
    breaker.failed(0.0)
    with breaker.asked():  # its client has gone away
        assert breaker.is_open(10.0)
    assert not breaker.is_open(10.0)
    with breaker.asked(), breaker.asked():
        assert breaker.is_open(10.0)
    assert not breaker.trial


def test_failures_in_doubt_open_it_when_there_are_several_in_a_row() -> None:
    breaker = Breaker(5.0, 60.0, opens_after=3)
    assert [breaker.failed(0.0, in_doubt=True) for _ in range(2)] == [False, False]
    breaker.succeeded(0.0)
    assert [breaker.failed(1.0, in_doubt=True) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("failures", [3, 1_000])
def test_what_went_well_a_moment_ago_is_trusted_whatever_is_asked(failures: int) -> None:
    breaker = Breaker(5.0, 60.0, opens_after=3, trusted_s=10.0)
    breaker.succeeded(100.0)
    assert not any(breaker.failed(109.9, in_doubt=True) for _ in range(failures))
    assert breaker.failed(110.0, in_doubt=True)
    assert breaker.open_until_s == 115.0


def test_a_failure_without_doubt_opens_it_at_once() -> None:
    breaker = Breaker(5.0, 60.0, opens_after=3, trusted_s=10.0)
    breaker.succeeded(100.0)
    assert breaker.failed(100.0)
