"""What the rest of the API node may ask of the chain. The real one is `chain.py` and `outbox.py`; tests have their own."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.query_pb2 import QueryEpochInfoResponse
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    EpochGroupData,
    Inference,
    Participant,
)

Answer = TypeVar("Answer", bound=Message)


class LedgerError(Exception):
    """Something went wrong between this node and the chain.

    ├── ChainUnavailable   nobody answered, or not in time: try again later
    └── ChainRefused       the chain answered with a code above 0
    """


class ChainUnavailable(LedgerError):
    """The chain node cannot be reached."""


GRPC_CODESPACE = "grpc"
"""Codespace of refused gRPC queries; their codes are gRPC's status numbers."""
_GRPC_NOT_FOUND = 5


class ChainRefused(LedgerError):
    """The chain refused a query or a transaction."""

    def __init__(self, code: int, codespace: str, log: str) -> None:
        super().__init__(log)
        self.code = code
        self.codespace = codespace
        self.log = log

    @property
    def not_found(self) -> bool:
        """The chain has no such record."""
        return (self.codespace, self.code) == (GRPC_CODESPACE, _GRPC_NOT_FOUND)


@dataclass(frozen=True)
class Head:
    """A block as the follower saw it."""

    height: int
    time_ns: int
    hash: bytes


class Chain(Protocol):
    """Queries at the latest height. Every method raises LedgerError; `None` means that the chain has no such record.

    Answers that cannot change (a formed group) are remembered for good. Parameters, prices, participants, keys and balances
    may be a block old; `query` and `inference` always ask.
    """

    @property
    def chain_id(self) -> str: ...

    async def query(self, path: str, request: Message, response: type[Answer]) -> Answer:
        """Any registered query by its path, `/inference.inference.Query/EpochInfo`."""
        ...

    async def params(self) -> Params: ...

    async def epoch_info(self) -> QueryEpochInfoResponse: ...

    async def epoch_group(self, epoch: int, model: str = "") -> EpochGroupData | None: ...

    async def active_participants(self, epoch: int) -> ActiveParticipants | None: ...

    async def participant(self, address: str) -> Participant | None: ...

    async def balance(self, address: str) -> int:
        """ngonka that the account holds."""
        ...

    async def public_keys(self, address: str, message_type: str) -> list[bytes]:
        """Keys (33 bytes) that may sign for the account: its own, then those of its grantees for `message_type`."""
        ...

    async def model_price(self, model: str) -> int | None:
        """ngonka per token, None for a model that the network does not know."""
        ...

    async def inference(self, inference_id: str) -> Inference | None: ...


EXPIRED = -1
"""Code of an entry whose deadline passed before the chain had it."""


@dataclass(frozen=True)
class Outcome:
    """What became of an entry of the outbox."""

    key: str
    done: bool
    """Nothing more will happen: with code 0 the chain has it, otherwise it was refused for good or has expired."""
    code: int = 0
    """The chain's code of the refusal, or EXPIRED."""
    log: str = ""
    """Why, in a sentence."""
    height: int = 0
    """Block in which the chain took it; 0 when it was never in a block."""

    @property
    def accepted(self) -> bool:
        """The chain has it."""
        return self.done and self.code == 0


class Outbox(Protocol):
    """Durable queue of messages to the chain. An entry is one logical message under a natural key."""

    async def put(self, key: str, message: Message, *, deadline_height: int = 0) -> None:
        """Queue `message` (creator already set to the host's account). A key that is known already changes nothing.

        Returns when the entry is on disk. Starts and finishes are put as MsgStartInference and MsgFinishInference and travel
        together in one MsgRecordInferences per block. Entries are sent until the chain has them, has refused them for good, or
        `deadline_height` (0: never) has passed.
        """
        ...

    async def outcome(self, key: str) -> Outcome | None:
        """None for an unknown key."""
        ...

    async def wait(self, key: str, timeout_s: float) -> Outcome | None:
        """The outcome as soon as the entry is done, or what is known when the time is over. None for an unknown key."""
        ...
