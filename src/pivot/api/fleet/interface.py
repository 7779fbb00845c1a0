"""What the rest of the API node may ask of the fleet."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pivot.protocol.mlnode_api import PowInit, TrainStart, TrainStatus, ValidateRequest


@dataclass(frozen=True)
class Stop:
    """Do nothing."""


@dataclass(frozen=True)
class Serve:
    """Serve inference of a model. `arguments`: of the model's registration first, then the host's own."""

    model: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generate:
    """Run the sprint."""

    init: PowInit


@dataclass(frozen=True)
class Validate:
    """Be ready to check other hosts' leaves."""

    init: PowInit


@dataclass(frozen=True)
class Train:
    """Run a training; done while it runs, and when it has ended by itself."""

    start: TrainStart

    @property
    def task_id(self) -> str:
        """Of the chain's task."""
        return self.start.train_env["TASK_ID"]


Duty = Stop | Serve | Generate | Validate | Train


@dataclass(frozen=True)
class FleetNode:
    """One ML node as its host declared it, and what is known of it."""

    id: str
    node_number: int
    """Stable; its sprint's nonces are node_number × 2^40 + i."""
    models: dict[str, tuple[str, ...]]
    """Model id to the host's own arguments."""
    max_concurrent: int
    management_url: str
    inference_url: str
    enabled: bool
    reachable: bool
    duty: Duty | None
    """What it was last told to do."""
    fulfils: bool
    """Whether it was seen doing that."""
    changed_in_epoch: int = 0
    """The latest epoch's index when the host last enabled or disabled it; 0 while nothing depends on that."""
    failing: bool = False
    """Whether it fails what it is asked, so that it is lent to nobody but for a trial."""
    training: TrainStatus | None = None
    """The training that it was seen running, or that it ran last; only while it trains or should."""


@dataclass(frozen=True)
class Lease:
    """The right to send one request to a node, until the lease is closed (the end of the stream)."""

    node_id: str
    inference_url: str


class NodeFault(Exception):
    """What a lease ends with when its node did not answer the request as it should. Another node may do better."""


class NoNodeAvailable(Exception):
    """No node serves this model now, or all are busy and stayed so."""


class Fleet(Protocol):
    """The host's ML nodes."""

    def nodes(self) -> Sequence[FleetNode]: ...

    def assign(self, duties: Callable[[FleetNode], Duty]) -> None:
        """Say what every node (also one that is added later) should do from now on. The reconciler sees to it."""
        ...

    def reconsider(self) -> None:
        """What the nodes should do may have changed: ask again now."""
        ...

    def lend(self, model: str, *, wait_s: float) -> AbstractAsyncContextManager[Lease]:
        """The least busy node that serves `model`, waiting up to `wait_s` for one. Raises NoNodeAvailable.

        A node whose lease ended with a NodeFault is asked after the others for a moment, and after several in a row left
        alone for a while; one whose fault is a ConnectionError as well is set aside until it is seen healthy again.
        """
        ...

    async def distances(self, request: ValidateRequest, *, timeout_s: float) -> list[int]:
        """Let some node recompute leaves: one distance per nonce, in the order given. Tries others when one fails.

        Raises NoNodeAvailable. The nodes' answers come through the call-back port: `accept_distances`.
        """
        ...

    def accept_distances(self, batch_id: str, distances: list[int]) -> None:
        """A node's answer has arrived. An unknown batch is ignored."""
        ...
