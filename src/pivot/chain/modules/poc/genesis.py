"""Commits and votes in an export."""

from typing import Any

from pivot.chain.modules.poc.state import COMMITS, STORE, VOTES
from pivot.chain.rows import Kinds, export_rows, load_rows
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocVotes

_KINDS: Kinds = {"commits": (COMMITS, PocCommit), "votes": (VOTES, PocVotes)}


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of an export. Raises ValueError."""
    load_rows(block.state, STORE, _KINDS, document)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return export_rows(state, STORE, _KINDS)
