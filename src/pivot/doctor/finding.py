"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The host works, not as well as it could."""
    WRONG = "wrong"
    """The host does not work, or is open to others."""
    SKIPPED = "skipped"
    """It could not be looked at; the sentence says why."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It works, and could be better."""
    return Finding(check, State.WARNING, found, remedy)


def wrong(check: str, found: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, State.WRONG, found, remedy)


def skipped(check: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, State.SKIPPED, why)
