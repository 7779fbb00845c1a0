"""Rows of partial upgrades in the store `inference`.

PartialUpgrade/value/<height, 8 bytes>/       PartialUpgrade
"""

from collections.abc import Iterator

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade

STORE = "inference"
UPGRADES = b"PartialUpgrade/value/"
HEIGHT_BYTES = 8


def partial_upgrade(state: Reader, height: int) -> PartialUpgrade | None:
    """The partial upgrade of this height, or None."""
    row = state.get(STORE, _key(height))
    return None if row is None else PartialUpgrade.FromString(row)


def partial_upgrades(state: Reader) -> Iterator[PartialUpgrade]:
    """All that are to come and the last that has come, by height."""
    for _, row in state.iterate(STORE, UPGRADES, prefix_end(UPGRADES)):
        yield PartialUpgrade.FromString(row)


def put(state: State, record: PartialUpgrade) -> None:
    """Write a partial upgrade; of one height there is one."""
    state.set(STORE, _key(record.height), record.SerializeToString(deterministic=True))


def prune(block: Block) -> None:
    """Delete all that have come but the last, which tells a node that joins later what to run."""
    come = [key for key, _ in block.state.iterate(STORE, UPGRADES, _key(block.height + 1))]
    for key in come[:-1]:
        block.state.delete(STORE, key)


def _key(height: int) -> bytes:
    return UPGRADES + height.to_bytes(HEIGHT_BYTES) + b"/"
