"""Running the command in this process, beside the servers of a test."""

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pivot.cli import main


@dataclass
class Told:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Pivot = Callable[..., Awaitable[Told]]


class Terminal(io.StringIO):
    """Standard input that a person sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def pivot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pivot:
    """`pivot` with arguments, and with lines on stdin: its exit code and what it has told."""

    def run() -> int:
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    async def pivot(*arguments: str, stdin: str | None = None, terminal: bool = False) -> Told:
        monkeypatch.setattr(sys, "argv", ["pivot", *arguments])
        if terminal:
            monkeypatch.setattr(sys, "stdin", Terminal())
        elif stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = await asyncio.to_thread(run)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return Told(code, told.out, told.err)

    return pivot
