"""What a chat template writes of the day: the same request has other tokens tomorrow, and its executor is not to blame for that."""

import re
from collections.abc import Sequence
from datetime import date, timedelta

DAYS_BACK = 4
"""Answers of one epoch are checked, and disputed, until the end of the next."""
DAYS_AHEAD = 1
"""A machine's clock may stand in any time zone."""
LONGEST_DATE = 32
"""Characters, and so tokens, of what may differ: no template writes a longer date, and nobody saves work by so little."""
_WRITTEN_AS = ("%d", "%m", "%Y", "%B", "%A")
_WORD = re.compile(r"[A-Za-z0-9]+")
_ONLY_DATES = re.compile(r"[A-Za-z0-9\s,./:-]*", re.ASCII)


def differing(one: Sequence[int], other: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """What is left of two texts' tokens without those with which both begin and both end."""
    shorter = min(len(one), len(other))
    begin = next((place for place in range(shorter) if one[place] != other[place]), shorter)
    rest = shorter - begin
    end = next((place for place in range(rest) if one[-1 - place] != other[-1 - place]), rest)
    return one[begin : len(one) - end], other[begin : len(other) - end]


def is_of_these_days(text: str, today: date) -> bool:
    """Whether a text holds nothing but parts of the dates of days at which an answer that is checked today can have been given."""
    if len(text) > LONGEST_DATE or not _ONLY_DATES.fullmatch(text):
        return False
    days = [today + timedelta(days=offset) for offset in range(-DAYS_BACK, DAYS_AHEAD + 1)]
    written = {day.strftime(form) for day in days for form in _WRITTEN_AS}
    return all(any(word in each for each in written) for word in _WORD.findall(text))
