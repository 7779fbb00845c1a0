"""The bundled trainer, `python -m pivot.mlnode.training.diloco train_config.toml`: DiLoCo on a tiny model, with numpy.

Each node takes many inner steps on its own shard, then all share the mean of how far they have come and take one outer
step with Nesterov momentum (Douillard et al., 2023). So nodes that are far apart talk rarely, and little. Rendezvous,
barriers and the exchange of certificates go through the network's store; parameters go from node to node.

It shows that a network can train together, and what a job of one's own has to do; it is no tool for large models.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pivot.mlnode.training.peers import Credentials, Hub, PeersLost, Spoke
from pivot.mlnode.training.store import Store, StoreFailed, wait_for
from pivot.mlnode.training.tiny_model import Adam, Floats, batches, initial_parameters, loss_and_gradient
from pivot.protocol.generated.inference.inference.training_pb2 import MLNodeTrainStatus, TrainingNodeStatus

HEARTBEAT_S = 2.0
CERTIFICATES_S = 60.0
"""How long rank 0 waits for the others' certificates: half of the time for which they try to connect. Who has shown none is left out."""
EVALUATION_SEED = 2**31
"""Of the batches on which the loss is judged: the same for all, and nobody's shard."""
EVALUATION_SIZE = 4_096
PARAMETERS_NAME = "parameters.npy"
EXIT_FAILED = 1
EXIT_USAGE = 2


class InvalidJob(ValueError):
    """A configuration or a variable with which no training can begin."""


class DilocoConfig(BaseModel):
    """The table `diloco` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outer_steps: Annotated[int, Field(ge=1, le=10_000)] = 8
    inner_steps: Annotated[int, Field(ge=1, le=10_000)] = 25
    batch_size: Annotated[int, Field(ge=1, le=4_096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    outer_learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.7
    outer_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 7

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises InvalidJob."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")).get("diloco", {}))
        except (OSError, ValueError) as error:
            fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise InvalidJob(f"{path}: {fault}") from error


@dataclass(frozen=True)
class Place:
    """Where this node stands, from the published variables."""

    task_id: int
    node_id: str
    rank: int
    address: str
    port: int
    store_url: str
    store_token: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Raises InvalidJob, which names the variable."""
        try:
            return cls(
                task_id=int(variables["TASK_ID"]),
                node_id=variables["NODE_ID"],
                rank=int(variables["GLOBAL_RANK"]),
                address=variables["GLOBAL_ADDR"],
                port=int(variables["GLOBAL_PORT"]),
                store_url=variables["STORE_API_URL"],
                store_token=variables.get("STORE_TOKEN", ""),
            )
        except KeyError as error:
            raise InvalidJob(f"the variable {error.args[0]} is missing") from error
        except ValueError as error:
            raise InvalidJob(f"a variable is no whole number: {error}") from error


class Peers(Protocol):
    """The others of the run."""

    def mean(self, difference: Floats) -> Floats:
        """The mean of everybody's differences."""
        ...

    def close(self) -> None: ...


@dataclass
class Outer:
    """The outer optimiser: SGD with Nesterov momentum on the mean difference. All nodes compute the same, bit for bit."""

    learning_rate: float
    momentum: float

    def __post_init__(self) -> None:
        self._velocity: Floats | None = None

    def step(self, parameters: Floats, difference: Floats) -> Floats:
        """The parameters after one step. difference: parameters before the inner steps, less those after them."""
        momentum, rate = np.float32(self.momentum), np.float32(self.learning_rate)
        before = np.zeros_like(difference) if self._velocity is None else self._velocity
        velocity = self._velocity = np.asarray(momentum * before + difference, np.float32)
        return np.asarray(parameters - rate * (difference + momentum * velocity), np.float32)


class Progress:
    """How far this node has come; told to the store every few seconds, so that the network knows that it lives."""

    def __init__(self, store: Store) -> None:
        self.inner_step = 0
        self.outer_step = 0
        self._store = store
        self._ended = threading.Event()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Tell while the block runs. A heartbeat that fails is no reason to stop: the store may be away for a moment."""
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        try:
            yield
        finally:
            self._ended.set()
            telling.join()

    def _tell(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            try:
                self._store.heartbeat(self.inner_step, self.outer_step)
            except StoreFailed as error:
                say(f"no heartbeat: {error}")


def train(config: DilocoConfig, rank: int, peers: Peers, progress: Progress) -> Floats:
    """All outer steps of one node. Returns the parameters, which are the same on every node. Raises PeersLost."""
    parameters = initial_parameters(config.seed)
    inner, outer = Adam(config.learning_rate), Outer(config.outer_learning_rate, config.outer_momentum)
    shard = batches(config.seed + 1 + rank, config.batch_size)
    say(f"initial loss {evaluate(parameters):.4f}")
    for outer_step in range(config.outer_steps):
        local = parameters
        for inner_step in range(config.inner_steps):
            context, following = next(shard)
            _, gradient = loss_and_gradient(local, context, following)
            local = inner.step(local, gradient)
            progress.inner_step, progress.outer_step = inner_step + 1, outer_step
        parameters = outer.step(parameters, peers.mean(parameters - local))
        say(f"outer step {outer_step + 1} of {config.outer_steps}: loss {evaluate(parameters):.4f}")
    say(f"final loss {evaluate(parameters):.4f}")
    return parameters


def evaluate(parameters: Floats) -> float:
    """Loss on symbols that nobody trains on, in nats."""
    loss, _ = loss_and_gradient(parameters, *next(batches(EVALUATION_SEED, EVALUATION_SIZE)))
    return loss


def run(config: DilocoConfig, place: Place, store: Store) -> None:
    """Meet the others, train, and see that all have the same. Raises StoreFailed, PeersLost, OSError, InvalidJob."""
    rank, nodes = meet(place, store)
    say(f"rank {rank} of {len(nodes)}")
    progress = Progress(store)
    with progress.told(), contextlib.closing(connect(place, rank, nodes, store)) as peers:
        parameters = train(config, rank, peers, progress)
        np.save(PARAMETERS_NAME, parameters)
        digest = hashlib.sha256(parameters.astype("<f4").tobytes()).hexdigest()
        say(f"parameters {digest}")
        store.barrier("trained", config.outer_steps)


def meet(place: Place, store: Store) -> tuple[int, list[str]]:
    """The node's rank, and the run's nodes in the order of theirs, as soon as it begins. Raises StoreFailed, InvalidJob.

    A run may begin without one of the nodes that were expected; without the one at GLOBAL_ADDR it cannot go on.
    """
    store.join()

    def look() -> MLNodeTrainStatus | None:
        status = store.status()
        return status if status.status == TrainingNodeStatus.TRAINING_NODE_RUNNING else None

    status = wait_for(look, "the beginning of the run")
    rank, nodes = status.rank, list(status.active_nodes)
    if rank >= len(nodes) or nodes[rank] != place.node_id:
        raise InvalidJob(f"rank {rank} is not {place.node_id} among {', '.join(nodes)}: the run has gone on without it")
    if rank == 0 and place.rank:
        raise InvalidJob(f"the node at {place.address} is not among {', '.join(nodes)}")
    return rank, nodes


def connect(place: Place, rank: int, nodes: list[str], store: Store) -> Peers:
    """The connections of this rank. Raises StoreFailed, PeersLost, OSError."""
    credentials = Credentials(place.node_id)
    store.set(_certificate(nodes, rank), credentials.certificate)
    if rank > 0:
        shown = store.written_by(_certificate(nodes, 0), _host(nodes[0]))
        return Spoke(credentials, place.address, place.port, shown)
    hub = Hub(credentials, place.address, place.port, certificates(nodes, store))
    hub.gather()
    return hub


def certificates(nodes: list[str], store: Store) -> dict[int, str]:
    """Those of the other ranks that come in time: who has joined and does nothing more ends nobody's run. Raises PeersLost."""
    deadline = time.monotonic() + CERTIFICATES_S
    found = {}
    for rank, node_id in enumerate(nodes[1:], 1):
        try:
            left_s = max(0.0, deadline - time.monotonic())
            found[rank] = store.written_by(_certificate(nodes, rank), _host(node_id), left_s)
        except StoreFailed as error:
            say(f"rank {rank} is left out: {error}")
    if nodes[1:] and not found:
        raise PeersLost("no other node has shown its certificate")
    return found


def _certificate(nodes: Sequence[str], rank: int) -> str:
    """Under which key a rank's certificate stands: one of its host's own, which nobody else can write."""
    return f"{_host(nodes[rank])}/certificate-{rank}"


def _host(node_id: str) -> str:
    return node_id.split("/", maxsplit=1)[0]


def say(line: str) -> None:
    """A line of the job's log."""
    print(line, flush=True)  # noqa: T201  a job's log is its output


def main() -> int:
    """Train as the configuration and the environment say. Returns the exit code."""
    try:
        config, place = DilocoConfig.load(Path(sys.argv[1])), Place.of(os.environ)
        store = Store(place.store_url, place.store_token, place.node_id, place.task_id)
        with contextlib.closing(store):
            run(config, place, store)
    except InvalidJob as error:
        say(str(error))
        return EXIT_USAGE
    except (StoreFailed, PeersLost, OSError) as error:
        say(str(error))
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
