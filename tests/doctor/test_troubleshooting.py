"""The page on troubleshooting names every check of `pivot doctor` that can find something, and no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pivot.doctor

PAGE = Path(__file__).parents[2] / "docs/hosts/troubleshooting.md"
SECTION = "## What `pivot doctor` finds"
FINDS = {"wrong", "warning"}
VARIABLE = "…"
COLUMNS = 3


def test_every_check_that_can_find_something_is_on_the_page_with_what_to_do() -> None:
    rows = [line.strip("| ").split(" | ") for line in section() if line.startswith("| `")]
    assert all(len(row) == COLUMNS and all(row) for row in rows)
    named = [row[0].strip("`") for row in rows]
    assert len(named) == len(set(named))
    assert set(named) == set(checks())


def section() -> list[str]:
    _, _, after = PAGE.read_text().partition(f"{SECTION}\n")
    return after.partition("\n## ")[0].splitlines()


def checks() -> Iterator[str]:
    """The names that stand in the code, with … for what differs from host to host."""
    for file in sorted(Path(pivot.doctor.__file__).parent.glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in FINDS:
                        yield name(call.args[0], function)


def name(check: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    match check:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(name(part, function) for part in parts)
        case ast.FormattedValue(value=ast.Attribute(attr="check") as port):
            return name(port, function)
        case ast.FormattedValue():
            return VARIABLE
        case ast.Attribute(attr="check"):
            return f"port {VARIABLE}"
        case ast.Name(id=local):
            [value] = [
                each.value
                for each in ast.walk(function)
                if isinstance(each, ast.Assign)
                and isinstance(each.targets[0], ast.Name)
                and each.targets[0].id == local
            ]
            return name(value, function)
    raise AssertionError(f"the name of a check is not seen: {ast.unparse(check)}")
