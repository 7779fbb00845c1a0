"""The page of events names every event that the chain tells, with its attributes, and no other."""

import ast
from collections.abc import Iterator

from tests.docs.pages import ROOT, page, table

CHAIN = ROOT / "src" / "pivot" / "chain"
_OF_A_BATCH = ("inference_refused", "report_refused", "vote_refused")
"""Told for items of batches, by a name that is handed over (`inferences/batches.py`)."""
_OF_ALL_MESSAGES = ("message", {"action", "sender", "module"})
"""Told before each message (`block.py`)."""


def emitted() -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Names and attributes of every `emit` in the code."""
    for path in CHAIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
                name = node.args[0]
                names = (str(name.value),) if isinstance(name, ast.Constant) else _OF_A_BATCH
                yield names, {keyword.arg for keyword in node.keywords if keyword.arg is not None}


def told() -> dict[str, set[str]]:
    """Attributes by name, as the code tells them."""
    found = {_OF_ALL_MESSAGES[0]: set(_OF_ALL_MESSAGES[1])}
    for names, attributes in emitted():
        for name in names:
            found.setdefault(name, set()).update(attributes)
    return found


def test_every_event_of_the_chain_is_on_the_page_with_its_attributes() -> None:
    on_page = {
        name.strip("`"): {each.strip("` ") for each in attributes.split(",")}
        for name, attributes, *_ in table(page("events.md"), "event")
    }
    assert on_page == told()
