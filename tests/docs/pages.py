"""The protocol's pages, and what the chain's code says of itself."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = ROOT / "docs" / "protocol"
MODULES = ROOT / "src" / "pivot" / "chain" / "modules"
_VALUES = frozenset({"PRESENT", "_MARK", "_DENOM"})
"""Constants of bytes beside a module's keys that are no keys."""
_BYTE = re.compile(r"[0-9a-f]{2}")


class Prefix(NamedTuple):
    """What the keys of one kind of rows begin with."""

    store: str
    module: str
    start: bytes


def module_names() -> list[str]:
    """The chain's modules."""
    return sorted(path.parent.name for path in MODULES.glob("*/__init__.py"))


def page(name: str) -> str:
    """The text of a page of the protocol."""
    return (PROTOCOL / name).read_text()


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the table whose first heading this is."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line[1:-1].split("|")])
    return found


def prefixes_on_page() -> list[Prefix]:
    """Those of the table of rows."""
    found = []
    for store, module, key, *_ in table(page("state.md"), "store"):
        start = key.split("`")[1]
        raw = bytes.fromhex(start) if _BYTE.fullmatch(start) else start.encode()
        found.append(Prefix(store.strip("`"), module.strip("`"), raw))
    return found


def prefixes_in_code() -> Iterator[Prefix]:
    """The constants of bytes beside a module's STORE."""
    for path in sorted(MODULES.glob("*/*.py")):
        module = path.parent.name
        names = [name for name in _constants(path) if name not in _VALUES]
        found = importlib.import_module(f"pivot.chain.modules.{module}.{path.stem}") if names else None
        for name in names:
            value = getattr(found, name)
            if isinstance(value, bytes) and hasattr(found, "STORE"):
                yield Prefix(found.STORE, module, value)


def _constants(path: Path) -> list[str]:
    """Names in capitals that a file assigns at its top level."""
    targets = [
        node.targets[0] if isinstance(node, ast.Assign) else node.target
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
    ]
    return [target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()]
