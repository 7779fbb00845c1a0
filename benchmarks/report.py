"""How every benchmark tells its figures: a table for people, and where they come from."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

COLUMN_WIDTH = 18


def machine() -> dict[str, str | int | None]:
    """The machine that was measured on."""
    return {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}


def versions(*packages: str) -> dict[str, str]:
    """What was measured: Python, and these packages."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def print_table(results: Sequence[Mapping[str, object]]) -> None:
    """One line per result; all have the same columns."""
    columns = list(results[0])
    print("  ".join(column.rjust(COLUMN_WIDTH) for column in columns))
    for result in results:
        print("  ".join(str(result[column]).rjust(COLUMN_WIDTH) for column in columns))
