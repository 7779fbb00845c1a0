"""Refuse in consensus code what could make two machines disagree: clocks, floats, randomness, unordered iteration, I/O,
and what depends on the version of Python's table of Unicode.

It reads `primitives/`, `protocol/` and `chain/`; the chain's store, server, gateway and entry point touch the disk and the
network by their nature and are read for floats and randomness only.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src/pivot"
ROOMS = ("primitives", "protocol", "chain")
OUTER = ("chain/store", "chain/server", "chain/gateway", "chain/run.py", "chain/__main__.py", "protocol/parameters.py")
GENERATED = SOURCE / "protocol/generated"
RANDOM_OR_CLOCK = {"random", "secrets", "time", "uuid", "threading", "multiprocessing", "concurrent", "numpy", "locale"}
INPUT_OUTPUT = {
    "socket",
    "subprocess",
    "requests",
    "aiohttp",
    "httpx",
    "asyncio",
    "tempfile",
    "shutil",
    "os",
    "pathlib",
}
FORBIDDEN_CALLS = {"float", "open", "input", "hash", "id", "print", "vars", "eval", "exec"}
FORBIDDEN_ATTRIBUTES = {"now", "utcnow", "today", "urandom", "getrandbits", "total_seconds", "isprintable"}


def complaints(tree: ast.AST, *, outer: bool) -> Iterator[tuple[int, str]]:
    """(line, sentence) for everything in a module that is not deterministic."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node, outer=outer)
        elif isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the float {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div) and not outer:
            yield node.lineno, "a division that gives a float; use //"
        elif isinstance(node, ast.Call):
            yield from _calls(node, outer=outer)
        elif isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
            yield node.iter.lineno, "iteration over a set; sort it first"


def _imports(node: ast.Import | ast.ImportFrom, *, outer: bool) -> Iterator[tuple[int, str]]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    forbidden = {"random", "secrets"} if outer else RANDOM_OR_CLOCK | INPUT_OUTPUT
    for name in names:
        if name.split(".")[0] in forbidden:
            yield node.lineno, f"the import of {name}"


def _calls(node: ast.Call, *, outer: bool) -> Iterator[tuple[int, str]]:
    called = node.func
    if isinstance(called, ast.Name) and called.id in ({"float", "hash"} if outer else FORBIDDEN_CALLS):
        yield node.lineno, f"{called.id}()"
    if isinstance(called, ast.Attribute) and called.attr in FORBIDDEN_ATTRIBUTES:
        yield node.lineno, f"{ast.unparse(called)}()"


def _is_set(node: ast.expr) -> bool:
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"}
    return named or isinstance(node, ast.Set | ast.SetComp)


def main() -> int:
    found = 0
    for room in ROOMS:
        for path in sorted((SOURCE / room).rglob("*.py")):
            if path.is_relative_to(GENERATED):
                continue
            name = path.relative_to(SOURCE).as_posix()
            for line, sentence in complaints(ast.parse(path.read_text()), outer=name.startswith(OUTER)):
                found += 1
                sys.stderr.write(f"src/pivot/{name}:{line}: {sentence} has no place in consensus code\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
