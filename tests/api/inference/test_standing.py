"""Which of the drawn hosts is asked first."""

import pytest

from pivot.api.inference import standing
from pivot.api.inference.standing import (
    BUSY_SECONDS,
    FIRST_OPEN_SECONDS,
    LONGEST_OPEN_SECONDS,
    REFUSALS_TO_OPEN,
    TRUSTED_SECONDS,
    Standings,
)

DRAWN = ["a", "b", "c"]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standings(clock: Clock) -> Standings:
    return Standings(clock)


def order(standings: Standings) -> str:
    return "".join(address for _, address in standings.in_order(DRAWN))


def test_the_draw_decides_where_nothing_is_known(standings: Standings) -> None:
    assert standings.in_order(DRAWN) == [(0, "a"), (1, "b"), (2, "c")]


def test_the_quickest_host_comes_first(standings: Standings) -> None:
    for address, seconds in (("a", 3.0), ("b", 0.1), ("c", 2.0)):
        standings.begun(address, seconds)
    assert order(standings) == "bca"


def test_a_long_answer_makes_no_slow_host(standings: Standings) -> None:
    standings.begun("a")
    standings.begun("b", 0.001)
    assert order(standings) == "abc"


def test_hosts_that_are_about_as_quick_keep_the_order_of_the_draw(standings: Standings) -> None:
    for address, seconds in (("a", 0.24), ("b", 0.1), ("c", 0.26)):
        standings.begun(address, seconds)
    assert order(standings) == "abc"


def test_requests_under_way_count(standings: Standings) -> None:
    for address, seconds in (("a", 3.0), ("b", 0.1), ("c", 0.2)):
        standings.begun(address, seconds)
    with standings.asked("b"), standings.asked("b"), standings.asked("b"), standings.asked("b"), standings.asked("b"):
        assert order(standings) == "cba"
    assert order(standings) == "bca"


def test_a_host_that_was_slow_is_tried_again_after_a_while(standings: Standings, clock: Clock) -> None:
    standings.begun("a", 2.0)
    for _ in range(10):
        clock.now_s += 30
        standings.begun("b", 0.1)
        standings.begun("c", 0.1)
    assert order(standings)[0] == "a"


def test_a_host_without_a_free_node_is_asked_later_for_a_moment(standings: Standings, clock: Clock) -> None:
    standings.was_busy("a")
    assert order(standings) == "bca"
    clock.now_s += BUSY_SECONDS
    assert order(standings) == "abc"


def test_a_host_that_fails_is_asked_last_for_ever_longer(standings: Standings, clock: Clock) -> None:
    standings.was_busy("b")
    for failures in range(8):
        standings.failed("a")
        open_s = min(FIRST_OPEN_SECONDS * 2**failures, LONGEST_OPEN_SECONDS)
        clock.now_s += open_s - 0.1
        assert order(standings)[-1] == "a"
        clock.now_s += 0.1
        assert order(standings)[0] == "a"


def test_one_request_tries_whether_a_host_works_again(standings: Standings, clock: Clock) -> None:
    standings.failed("a")
    clock.now_s += FIRST_OPEN_SECONDS
    with standings.asked("a"):
        assert order(standings)[-1] == "a"
        standings.answered("a")
        assert order(standings)[0] == "a"
    standings.failed("a")
    clock.now_s += FIRST_OPEN_SECONDS
    assert order(standings)[0] == "a"


def test_nobody_waits_for_the_end_of_a_long_answer_that_tries_a_host(standings: Standings, clock: Clock) -> None:
    standings.failed("a")
    clock.now_s += FIRST_OPEN_SECONDS
    with standings.asked("a"):
        assert order(standings)[-1] == "a"
        standings.begun("a", 0.0)
        assert order(standings)[0] == "a"
        standings.failed("a")
    clock.now_s += FIRST_OPEN_SECONDS
    assert order(standings)[-1] == "a"


def test_an_answer_that_only_begins_closes_no_breaker(standings: Standings, clock: Clock) -> None:
    for failures in range(4):
        standings.begun("a", 0.0)
        standings.failed("a")
        clock.now_s += FIRST_OPEN_SECONDS * 2**failures - 0.1
        assert order(standings)[-1] == "a"
        clock.now_s += 0.1
        assert order(standings)[0] == "a"
    standings.answered("a")
    standings.failed("a")
    clock.now_s += FIRST_OPEN_SECONDS
    assert order(standings)[0] == "a"


def test_nobody_makes_a_host_look_broken_by_asking_what_it_must_refuse(standings: Standings, clock: Clock) -> None:
    standings.answered("a")
    clock.now_s += TRUSTED_SECONDS - 0.1
    for _ in range(100):
        standings.failed("a", refused=True)
    assert order(standings) == "abc"
    standings.answered("a")
    standings.failed("a")
    assert order(standings) == "bca"


def test_a_host_that_refuses_all_is_asked_last(standings: Standings) -> None:
    for _ in range(REFUSALS_TO_OPEN):
        assert order(standings) == "abc"
        standings.failed("a", refused=True)
    assert order(standings) == "bca"


def test_what_is_remembered_is_bounded(standings: Standings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MAX_KNOWN_HOSTS", 3)
    with standings.asked("under way"):
        for number in range(10):
            standings.failed(f"host{number}")
        assert len(standings._hosts) <= 4
        assert standings._hosts["under way"].under_way == 1
    assert standings._hosts["under way"].under_way == 0
