"""The page of refusals names every code that the chain gives, and no other."""

import re
from enum import IntEnum

from pivot.chain import errors
from tests.docs.pages import ROOT, page, table

CHAIN = ROOT / "src" / "pivot" / "chain"
_USE = re.compile(r"\b([A-Z][a-z]+)Code\.([A-Z_]+)")
_CODESPACES = {"Network": "inference", "Restriction": "restrictions"}


def given() -> set[tuple[str, int, str]]:
    """(codespace, code, name) of the refusals in the code."""
    found = set()
    for path in CHAIN.rglob("*.py"):
        if path.name == "errors.py":
            continue
        for family, name in _USE.findall(path.read_text()):
            codes: type[IntEnum] | None = getattr(errors, f"{family}Code", None)
            if codes is not None:
                found.add((_CODESPACES.get(family, family.lower()), int(codes[name]), name))
    return found


def test_every_refusal_of_the_chain_is_on_the_page() -> None:
    told = {(space.strip("`"), int(code), name) for space, code, name, _ in table(page("refusals.md"), "codespace")}
    assert told == given()
