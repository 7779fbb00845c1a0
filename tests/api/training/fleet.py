"""A fleet that does as it is told: nodes as the test describes them."""

from dataclasses import dataclass, field, replace
from typing import Any

from pivot.api.fleet.interface import FleetNode, Serve
from pivot.protocol.mlnode_api import TrainStatus


@dataclass
class FakeFleet:
    known: dict[str, FleetNode] = field(default_factory=dict)
    reconsidered: int = 0

    def add(self, node_id: str, **fields: Any) -> None:
        """A node that serves, but for what the test says."""
        base: dict[str, Any] = {
            "id": node_id,
            "node_number": len(self.known) + 1,
            "models": {},
            "max_concurrent": 1,
            "management_url": "",
            "inference_url": "",
            "enabled": True,
            "reachable": True,
            "duty": Serve("m"),
            "fulfils": True,
        }
        self.known[node_id] = FleetNode(**{**base, **fields})

    def trains(self, node_id: str, task_id: int = 7, *, exit_code: int | None = None, last_line: str = "") -> None:
        """The node is seen training, or at the end of it."""
        training = TrainStatus(
            status=exit_code is None, task_id=str(task_id), exit_code=exit_code, last_line=last_line or None
        )
        self.known[node_id] = replace(self.known[node_id], training=training)

    def nodes(self) -> list[FleetNode]:
        return list(self.known.values())

    def reconsider(self) -> None:
        self.reconsidered += 1
