"""What this host's nodes are promised to: a task whose assigner has asked for them, and later the training itself.

A host takes part only in what it was asked for and has agreed to; an assignment on the chain binds nobody. Promises are kept
on disk, so that a training goes on after a restart of this node.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from pivot.api.fleet.interface import Train
from pivot.api.private_files import write_private
from pivot.protocol.mlnode_api import TrainStart

PROMISES_FILE = "training.json"

log = logging.getLogger(__name__)


class AlreadyPromised(Exception):
    """A node is promised to another task."""

    def __init__(self, node_id: str, task_id: int) -> None:
        super().__init__(f"node {node_id!r} is promised to training task {task_id}")


class Promise(BaseModel):
    """What one node is promised to."""

    task_id: int
    until: int
    """Height at which the promise lapses, unless the task is assigned by then."""
    start: TrainStart | None = None
    """The training, once the task is assigned."""


_Kept = TypeAdapter(dict[str, Promise])


class Promises:
    """The promises of all nodes, by node id."""

    def __init__(self, home: Path) -> None:
        self._path = home / PROMISES_FILE
        self._of: dict[str, Promise] = self._load()

    def training_of(self, node_id: str) -> Train | None:
        """What the node should train now, if anything."""
        promise = self._of.get(node_id)
        return Train(promise.start) if promise and promise.start else None

    def nodes_of(self, task_id: int) -> list[str]:
        """The nodes that are promised to a task, in order."""
        return sorted(node_id for node_id, promise in self._of.items() if promise.task_id == task_id)

    def trainings(self) -> set[int]:
        """The tasks for which nodes train."""
        return {promise.task_id for promise in self._of.values() if promise.start}

    def make(self, task_id: int, node_ids: Sequence[str], until: int) -> None:
        """Promise nodes to a task, all or none. Raises AlreadyPromised."""
        for node_id in node_ids:
            promise = self._of.get(node_id)
            if promise and promise.task_id != task_id:
                raise AlreadyPromised(node_id, promise.task_id)
        for node_id in node_ids:
            start = self._of[node_id].start if node_id in self._of else None
            self._of[node_id] = Promise(task_id=task_id, until=until, start=start)
        self._save()

    def begin(self, node_id: str, start: TrainStart) -> None:
        """The task is assigned: the node trains."""
        self._of[node_id] = self._of[node_id].model_copy(update={"start": start})
        self._save()

    def release(self, task_id: int) -> None:
        """The task has ended here."""
        self._of = {node_id: promise for node_id, promise in self._of.items() if promise.task_id != task_id}
        self._save()

    def lapse(self, height: int) -> None:
        """Forget promises that nobody has claimed by this height."""
        kept = {node_id: promise for node_id, promise in self._of.items() if promise.start or height < promise.until}
        if kept != self._of:
            self._of = kept
            self._save()

    def _load(self) -> dict[str, Promise]:
        try:
            return _Kept.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError:
            log.warning("%s is damaged; nodes that train are taken back", self._path)
            return {}

    def _save(self) -> None:
        write_private(self._path, _Kept.dump_json(self._of).decode())
