"""Dates that a chat template writes, told from what a developer has written."""

from datetime import date

import pytest

from pivot.api.validation.dates import LONGEST_DATE, differing, is_of_these_days

TODAY = date(2027, 1, 1)


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ([1, 2, 3], [1, 9, 3], ([2], [9])),
        ([1, 2, 3], [1, 3], ([2], [])),
        ([1, 1], [1, 1, 1], ([], [1])),
        ([1, 2], [1, 2], ([], [])),
        ([], [5], ([], [5])),
        ([1, 2, 3, 4], [1, 5, 6, 7, 4], ([2, 3], [5, 6, 7])),
    ],
)
def test_what_both_begin_and_end_with_is_left_out(
    one: list[int], other: list[int], left: tuple[list[int], list[int]]
) -> None:
    assert differing(one, other) == left


@pytest.mark.parametrize("text", ["31 Dec 2026", "Thursday, December 31", "2027-01-01", "30", "6", "202", "Wednes", ""])
def test_parts_of_the_dates_of_these_days_are_known(text: str) -> None:
    assert is_of_these_days(text, TODAY)


@pytest.mark.parametrize(
    "text", ["17", "15 Nov 2026", "hello", "1 + 1", "no", "2027-01-01" * 4, "01 " * LONGEST_DATE, "\u0661"]
)
def test_nothing_else_is_taken_for_one(text: str) -> None:
    assert not is_of_these_days(text, TODAY)
