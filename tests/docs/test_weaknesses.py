"""Every decision and every weakness has tests named after it, and the page that lists them tells of tests that there are."""

import re
from collections import defaultdict

import pytest

from tests.docs.pages import PROTOCOL, ROOT, page

DECISIONS, WEAKNESSES = 20, 27
OUT_OF_SCOPE = {"W-19", "W-23", "A-20", "A-41"}
"""Bridge and threshold key: neither of them is here, which a test shows, too."""
HAVE_LETTERS = {"A-24", "A-37", "A-38"}
"""Places in the list of those that are called A-17, A-20 and A-21."""
LAST_LETTER = {"a": 21, "m": 14}
"""Of the API node's weaknesses and of the ML node's; a place in the list up to this is no number of that kind."""
_ROW = re.compile(r"^\| ([DWAM]-(?:item)?\d+) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"^(?:async )?def (test_((?:(?:[dw]|[am](?:_item)?)\d+_)+)\w+)", re.MULTILINE)
_BORNE = re.compile(r"([dwam])(_item)?(\d+)_")
_NUMBER = re.compile(r"\b([WAM])-(\d+)\b")


def named_tests() -> dict[str, set[str]]:
    """Names of the tests by the number that they bear."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name, numbers in _TEST.findall(path.read_text()):
            for kind, item, number in _BORNE.findall(numbers):
                place = "item" if item and int(number) <= LAST_LETTER[kind] else ""
                found[f"{kind.upper()}-{place}{number}"].add(name)
    return found


ROWS = {number: cells.split(" | ") for number, cells in _ROW.findall(page("weaknesses.md"))}
TESTS = named_tests()


def test_every_decision_and_every_weakness_of_the_chain_has_a_row() -> None:
    wanted = [f"D-{number}" for number in range(1, DECISIONS + 1)]
    wanted += [f"W-{number}" for number in range(1, WEAKNESSES + 1)]
    assert [number for number in ROWS if number[0] in "DW"] == wanted


def test_every_weakness_of_the_ml_node_has_a_row() -> None:
    wanted = [f"M-{number}" for number in range(1, 6)]
    wanted += [f"M-item{number}" for number in range(6, 12)]
    wanted += [f"M-{number}" for number in (*range(6, LAST_LETTER["m"] + 1), *range(21, 35))]
    assert [number for number in ROWS if number[0] == "M"] == wanted


def test_every_weakness_of_the_api_node_has_a_row() -> None:
    letters = {f"A-{number}" for number in range(1, LAST_LETTER["a"] + 1)}
    places = {f"A-item{place}" for place in (3, 6, 15, 16, 21)}
    later = {f"A-{place}" for place in range(LAST_LETTER["a"] + 1, 43)} - HAVE_LETTERS
    assert {number for number in ROWS if number[0] == "A"} == letters | places | later


@pytest.mark.parametrize("number", sorted(ROWS))
def test_a_row_names_tests_of_its_number_that_there_are(number: str) -> None:
    was, closed, told = ROWS[number]
    names = set(told.split("`")[1::2])
    assert was
    assert names
    assert names <= TESTS[number], names - TESTS[number]
    assert ("out of scope" in closed) is (number in OUT_OF_SCOPE)


def test_every_number_that_a_test_bears_has_a_row() -> None:
    assert set(TESTS) <= set(ROWS)


def test_every_number_on_a_page_of_the_protocol_has_a_row() -> None:
    for path in PROTOCOL.glob("*.md"):
        if path.name == "weaknesses.md":
            continue
        for kind, number in _NUMBER.findall(path.read_text()):
            assert f"{kind}-{number}" in ROWS, f"{path.name}: {kind}-{number}"
