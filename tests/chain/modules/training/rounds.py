"""A network in which somebody wants something trained. The module's invariants are checked after every block and message."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf.message import Message

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageTable, QueryTable
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import balance, put_genesis_balance, put_genesis_supply
from pivot.chain.modules.training import messages, queries
from pivot.chain.modules.training.invariants import check_training_deposits, check_training_runs, check_training_tasks
from pivot.chain.modules.training.state import require_task, training_params
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskStatus
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgAssignTrainingTask, MsgCreateTrainingTask
from pivot.protocol.generated.inference.inference.types_pb2 import Hardware, HardwareNode
from pivot.protocol.messages import type_url
from tests.chain import training_messages as said
from tests.chain.chain import key
from tests.chain.modules import network
from tests.chain.modules.network import Network, node

COINS = 10**12
CARD = "A100"
HOSTS = {"alice": 30, "bob": 20, "carol": 10}
RICH = "rich"
QUEUED, JOINING, RUNNING = (
    TrainingTaskStatus.TRAINING_QUEUED,
    TrainingTaskStatus.TRAINING_JOINING,
    TrainingTaskStatus.TRAINING_RUNNING,
)
FINISHED, EXPIRED, CANCELLED = (
    TrainingTaskStatus.TRAINING_FINISHED,
    TrainingTaskStatus.TRAINING_EXPIRED,
    TrainingTaskStatus.TRAINING_CANCELLED,
)
_MESSAGES = MessageTable([*messages.MESSAGES, *network.MESSAGES.all().values()])
_QUERIES = QueryTable(queries.QUERIES)


def cards(number: int, count: int = 4, kind: str = CARD) -> HardwareNode:
    """A node with some cards."""
    made = node(number)
    made.hardware.append(Hardware(type=kind, count=count))
    return made


class Training(Network):
    """Three members with two nodes each, and an account that can pay deposits. Epoch 0 is in force until a sprint is over."""

    def __init__(self, weights: dict[str, int] | None = None) -> None:
        weights = weights or HOSTS
        super().__init__(weights, hardware={name: [cards(0), cards(1), node(2)] for name in weights})
        put_genesis_balance(self.state, key(RICH).address, COINS)
        put_genesis_balance(self.state, key("alice").address, COINS)
        put_genesis_supply(self.state, 2 * COINS)
        self.rules = training_params(self.state)

    def _end(self) -> None:
        super()._end()
        self.check()

    def check(self) -> None:
        """Raises AssertionError."""
        for check in (check_supply, check_training_deposits, check_training_tasks, check_training_runs):
            check(self.state)

    def deliver(self, message: Message) -> Any:
        handler = _MESSAGES.find(type_url(message))
        assert handler is not None
        handler.check(message)
        assert handler.gas(message) > 0
        with self.block.frame():
            answer = handler.handle(self.block, message)
        self.check()
        return answer

    def query(self, method: str, request: Message) -> Any:
        handler = _QUERIES.find(f"/inference.inference.Query/{method}")
        assert handler is not None
        return handler.answer(self.view, request)

    @property
    def height(self) -> int:
        return self.block.height

    def wait(self, blocks: int) -> None:
        """Finish so many blocks."""
        self.advance(self.height + blocks)

    def coins(self, name: str) -> int:
        return balance(self.state, key(name).address)

    def task(self, task_id: int = 1) -> TrainingTask:
        return require_task(self.state, task_id)

    # Messages

    def create(self, name: str = RICH, count: int = 8) -> int:
        """Ask for a task; its id."""
        made = self.deliver(wish(name, count)).task.id
        assert isinstance(made, int)
        return made

    def claim(self, name: str = "alice", task_id: int = 1) -> None:
        self.deliver(said.claim(key(name).address, task_id))

    def assign(self, name: str = "alice", task_id: int = 1, **nodes: Sequence[int]) -> None:
        """Assign nodes, by host and number; unless given, one of bob's and one of carol's."""
        self.deliver(assignment(name, task_id, **(nodes or {"bob": [0], "carol": [0]})))

    def join(self, name: str, number: int = 0, task_id: int = 1, **fields: int) -> Any:
        return self.deliver(said.join(key(name).address, task_id, node_id(name, number), **fields)).status

    def await_rank(self, name: str, number: int = 0, task_id: int = 1) -> Any:
        return self.deliver(said.join_status(key(name).address, task_id, node_id(name, number))).status

    def heartbeat(self, name: str, number: int = 0, task_id: int = 1, **fields: int) -> Any:
        return self.deliver(said.heartbeat(key(name).address, task_id, node_id(name, number), **fields)).status

    def set_barrier(self, name: str, barrier: str = "outer", step: int = 0, number: int = 0, task_id: int = 1) -> None:
        self.deliver(said.barrier(key(name).address, task_id, node_id(name, number), barrier, step))

    def store(self, name: str, record: str = "loss", value: str = "3.2", task_id: int = 1) -> None:
        self.deliver(said.record(key(name).address, task_id, record, value))

    def finish(self, name: str = RICH, task_id: int = 1) -> Any:
        return self.deliver(said.finish(key(name).address, task_id)).status

    # What has happened

    def assigned(self, **nodes: Sequence[int]) -> None:
        """A task that alice has assigned."""
        self.create()
        self.claim()
        self.assign(**nodes)

    def running(self) -> None:
        """A run of bob's and carol's nodes."""
        self.assigned()
        self.join("bob")
        self.join("carol")


def node_id(name: str, number: int = 0) -> str:
    return f"{key(name).address}/node{number}"


def wish(name: str = RICH, count: int = 8) -> MsgCreateTrainingTask:
    """What somebody asks for."""
    return said.wish(key(name).address, CARD, count)


def assignment(name: str, task_id: int = 1, **nodes: Sequence[int]) -> MsgAssignTrainingTask:
    """nodes: numbers by host."""
    chosen = {key(host).address: [f"node{number}" for number in numbers] for host, numbers in nodes.items()}
    return said.assignment(key(name).address, task_id, chosen)


@contextmanager
def refused(code: NetworkCode, sentence: str | None = None) -> Iterator[pytest.ExceptionInfo[NetworkError]]:
    """The body is refused with this code, by a sentence that has these words."""
    with pytest.raises(NetworkError, match=sentence) as refusal:
        yield refusal
    assert refusal.value.code == code
