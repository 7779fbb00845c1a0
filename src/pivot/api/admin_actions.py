"""What was done through the admin port: who, what, when, and how it ended. One JSON object a line, in the node's home.

Tokens, keys and bodies are never in it: of a body only the fields named in SHOWN_FIELDS.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from pivot.api.private_files import PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE

FILE_NAME = "admin-actions.jsonl"
MAX_FILE_BYTES = 8 * 2**20
KEPT_FILES = 4
"""Older ones beside the current: `admin-actions.jsonl.1` is the youngest of them."""
SHOWN_FIELDS = ("id", "name", "budget", "rate", "concurrency", "expires_at", "epoch_index", "force_claim")
MAX_SHOWN_LENGTH = 200
MAX_SHOWN_ITEMS = 20
"""Of a body that is a list."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AdminAction:
    """One call that may have changed something."""

    peer: str
    """IP address that it came from."""
    credential: str
    """`token`, `certificate` with the name in it, or `none` on a port that is open to this machine alone."""
    method: str
    path: str
    status: int
    about: list[dict[str, Any]] = field(default_factory=list)
    """What of its body may be shown, one object for each item of a list."""


class AdminActionLog:
    """The file of one node, and its older ones."""

    def __init__(self, home: Path, wall_s: Callable[[], float] = time.time) -> None:
        self.path = home / FILE_NAME
        self._wall_s = wall_s
        self._one_at_a_time = asyncio.Lock()

    async def write(self, action: AdminAction) -> None:
        """On disk when this returns. A disk that does not take it is told in the node's own log, not to the caller."""
        at = datetime.fromtimestamp(self._wall_s(), UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"at": at, **asdict(action)}) + b"\n"
        try:
            async with self._one_at_a_time:
                await asyncio.to_thread(self._append, line)
        except OSError:
            log.exception("admin_action_not_recorded", path=action.path, method=action.method)

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
        if self.path.exists() and self.path.stat().st_size + len(line) > MAX_FILE_BYTES:
            self._rotate()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE_MODE)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _rotate(self) -> None:
        for number in range(KEPT_FILES - 1, 0, -1):
            older = self._older(number)
            if older.exists():
                older.replace(self._older(number + 1))
        self.path.replace(self._older(1))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{FILE_NAME}.{number}")


def shown(document: Any) -> list[dict[str, Any]]:
    """What of a body may be recorded."""
    items = document if isinstance(document, list) else [document]
    listed = [_fields(each) for each in items[:MAX_SHOWN_ITEMS] if isinstance(each, Mapping)]
    return [each for each in listed if each]


def _fields(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cut(item[name]) for name in SHOWN_FIELDS if isinstance(item.get(name), str | int | float | bool)}


def _cut(value: Any) -> Any:
    return value[:MAX_SHOWN_LENGTH] if isinstance(value, str) else value
