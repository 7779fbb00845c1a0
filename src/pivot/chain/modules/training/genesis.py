"""Training in an export: tasks in any status, and runs in the middle of their work."""

from typing import Any

from pivot.chain.modules.training.runs import BARRIERS, NODES, RECORDS
from pivot.chain.modules.training.state import (
    CLEARINGS,
    DEADLINES,
    ENDED,
    IN_PROGRESS,
    NEXT_ID_KEY,
    QUEUED,
    REQUESTERS,
    STORE,
    TASKS,
)
from pivot.chain.rows import Kinds, export_rows, load_rows
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingNode, TrainingTask, TrainingTaskKVRecord

_KINDS: Kinds = {
    "tasks": (TASKS, TrainingTask),
    "next_id": (NEXT_ID_KEY, None),
    "queued": (QUEUED, None),
    "in_progress": (IN_PROGRESS, None),
    "requesters": (REQUESTERS, None),
    "deadlines": (DEADLINES, None),
    "ended": (ENDED, None),
    "clearings": (CLEARINGS, None),
    "nodes": (NODES, TrainingNode),
    "barriers": (BARRIERS, None),
    "records": (RECORDS, TrainingTaskKVRecord),
}


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of an export. Raises ValueError."""
    load_rows(block.state, STORE, _KINDS, document)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return export_rows(state, STORE, _KINDS)
