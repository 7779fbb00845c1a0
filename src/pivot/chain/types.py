"""What a module sees of the block that is being made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pivot.chain.store.journal import State


class Reader(Protocol):
    """Committed or journalled rows, sorted by key; `end` is exclusive."""

    def get(self, store: str, key: bytes) -> bytes | None: ...

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]: ...


STORES = (
    "acc",
    "authz",
    "bank",
    "evidence",
    "feegrant",
    "gov",
    "inference",
    "params",
    "slashing",
    "staking",
    "upgrade",
)
"""Names of the authenticated trees. `inference` holds all of Pivot's own modules, each under its own key prefix."""


class Event(NamedTuple):
    """One ABCI event; attribute order is kept."""

    type: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CommitVote:
    """What the engine says of one validator in the last block: its 20-byte address, its power, whether it signed."""

    address: bytes
    power: int
    signed: bool


@dataclass(frozen=True)
class Misbehaviour:
    """What the engine has found out about one validator: it has signed two blocks of one height, or a false one."""

    address: bytes
    """Consensus address, 20 bytes."""
    power: int
    height: int
    time: int
    """Of the offence, Unix nanoseconds."""


@dataclass(frozen=True)
class ValidatorUpdate:
    """A consensus key (ed25519, 32 bytes) and its new power; 0 removes it."""

    public_key: bytes
    power: int


@dataclass
class Block:
    """The block under way: its header, its journal, and what it has produced so far."""

    state: State
    chain_id: str
    height: int
    time: int
    """Block time, Unix nanoseconds."""
    hash: bytes
    """Of this block, 32 bytes (empty while a transaction is only being checked)."""
    last_commit: tuple[CommitVote, ...] = ()
    misbehaviours: tuple[Misbehaviour, ...] = ()
    events: list[Event] = field(default_factory=list)
    validator_updates: list[ValidatorUpdate] = field(default_factory=list)
    free_gas: dict[str, int] = field(default_factory=dict)
    """Gas of each host's duties in this block that have cost nothing."""

    def emit(self, event: str, **attributes: object) -> None:
        """Add an event to the transaction (or to the block, outside one)."""
        self.events.append(Event(event, tuple([(name, str(value)) for name, value in attributes.items()])))

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Rows and events that are written inside vanish if the body raises; otherwise they stay."""
        emitted = len(self.events)
        try:
            with self.state.frame():
                yield
        except BaseException:
            del self.events[emitted:]
            raise


@dataclass(frozen=True)
class View:
    """What a query sees: committed rows at one height."""

    state: Reader
    chain_id: str
    height: int
    time: int = 0
    """Time of the last committed block, Unix nanoseconds."""
