"""The page on security names tests that there are, and limits as they are."""

import importlib
import re

import pytest

from tests.docs.pages import ROOT, table

PAGE = (ROOT / "docs" / "security.md").read_text()
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
LIMITS = [row[:2] for row in table(PAGE, "limit")]


def test_every_defence_is_shown_by_tests_that_there_are() -> None:
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in _DEFINED.findall(path.read_text())}
    for against, _, told in table(PAGE, "against"):
        named = set(told.split("`")[1::2])
        assert named, against
        assert named <= defined, named - defined


@pytest.mark.parametrize(("limit", "value"), LIMITS)
def test_a_limit_is_as_the_page_says(limit: str, value: str) -> None:
    module, _, name = limit.strip("`").rpartition(".")
    assert getattr(importlib.import_module(module), name) == int(value)
