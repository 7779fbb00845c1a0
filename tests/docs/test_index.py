"""The index of the protocol names every module of the chain, its messages and its queries, and leads to a page that does."""

from functools import partial
from typing import Any

import pytest

from pivot.chain.invariants import INVARIANTS
from pivot.chain.registry import MESSAGES, QUERIES
from tests.docs.pages import PROTOCOL, module_names, page, prefixes_in_code, table

INDEX = page("README.md")
ROWS = {row[0].strip("`"): row for row in table(INDEX, "module")}
NETWORK = "/inference.inference.Query/"
NONE = "–"
_AGAIN = "/cosmos.gov.v1beta1."
"""Messages of an older version, which are named by the newer one."""


def module_of(handler: Any) -> str:
    """Which module's function this is."""
    function = handler.func if isinstance(handler, partial) else handler
    return str(function.__module__).split(".")[3]


def named(cell: str) -> set[str]:
    """What stands in backticks in a cell."""
    return set() if cell == NONE else {each.strip("` ") for each in cell.split(",")}


def page_of(module: str) -> str:
    return ROWS[module][2].split("(")[1].rstrip(")")


def messages_of(module: str) -> set[str]:
    """By their name, or by the whole one where a name has several owners."""
    urls = [url for url, handler in MESSAGES.all().items() if module_of(handler.handle) == module]
    urls = [url for url in urls if not url.startswith(_AGAIN)]
    return {url[1:] if url.endswith(".MsgUpdateParams") else url.rsplit(".", 1)[1] for url in urls}


def queries_of(module: str) -> set[str]:
    """Methods of the network's own service, and other services."""
    paths = [path for path, handler in QUERIES.all().items() if module_of(handler.answer) == module]
    return {path[len(NETWORK) :] if path.startswith(NETWORK) else path[1:].rsplit("/", 1)[0] for path in paths}


def test_every_module_of_the_chain_is_in_the_index() -> None:
    assert list(ROWS) == module_names()


def test_every_page_is_in_the_index() -> None:
    for path in PROTOCOL.glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in INDEX, path.name


@pytest.mark.parametrize("module", module_names())
def test_a_module_has_its_stores_messages_and_queries(module: str) -> None:
    _, _, _, stores, messages, queries = ROWS[module]
    assert named(stores) == {prefix.store for prefix in prefixes_in_code() if prefix.module == module}
    assert named(messages) == messages_of(module)
    assert named(queries) == queries_of(module)


@pytest.mark.parametrize("module", module_names())
def test_a_modules_page_names_it_its_messages_and_its_queries(module: str) -> None:
    text = page(page_of(module))
    assert module in text
    for name in (*messages_of(module), *queries_of(module)):
        assert name.split(".")[-1] in text if "Msg" in name else name in text, f"{page_of(module)}: {name}"


def test_the_duties_are_those_that_are_free() -> None:
    duties = {url.rsplit(".", 1)[1] for url, handler in MESSAGES.all().items() if handler.duty}
    (line,) = [part for part in INDEX.split("\n\n") if part.startswith("Free of fees")]
    assert set(line.split("`")[1::2]) == duties


def test_every_invariant_is_in_the_index() -> None:
    on_page = [(name.strip("`"), module.strip("`")) for name, module, _ in table(INDEX, "invariant")]
    assert sorted(on_page) == sorted((check.__name__, module_of(check)) for check in INVARIANTS)
