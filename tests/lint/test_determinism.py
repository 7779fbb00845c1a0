"""The determinism lint sees what it should see."""

import ast
import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("determinism", Path(__file__).parents[2] / "lint" / "determinism.py")
assert _SPEC is not None
assert _SPEC.loader is not None
determinism = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(determinism)


@pytest.mark.parametrize(
    "code",
    [
        "import random",
        "from time import time",
        "x = 0.5",
        "x = 1 / 2",
        "x = float(3)",
        "x = hash('a')",
        "for x in {1, 2}: pass",
        "y = [x for x in set(z)]",
        "datetime.datetime.now()",
        "open('file')",
        "import os",
        "text.isprintable()",
    ],
)
def test_what_machines_can_disagree_on_is_refused(code: str) -> None:
    assert list(determinism.complaints(ast.parse(code), outer=False))


@pytest.mark.parametrize("code", ["x = 1 // 2", "for x in sorted({1, 2}): pass", "from hashlib import sha256"])
def test_what_gives_the_same_everywhere_passes(code: str) -> None:
    assert not list(determinism.complaints(ast.parse(code), outer=False))
