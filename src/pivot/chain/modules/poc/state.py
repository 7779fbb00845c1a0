"""Commits and votes. Rows of the store `inference`.

PocCommit/value/<epoch, 8 bytes>/<host>/        PocCommit
PocVotes/value/<epoch, 8 bytes>/<checker>/      PocVotes: a hash, later the votes too
"""

from collections.abc import Iterator

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocVotes

STORE = "inference"
COMMITS = b"PocCommit/value/"
VOTES = b"PocVotes/value/"


def commit(state: Reader, epoch: int, host: str) -> PocCommit | None:
    """What a host committed in the sprint of an epoch, or None."""
    row = state.get(STORE, epoch_key(COMMITS, epoch, host))
    return None if row is None else PocCommit.FromString(row)


def commits(state: Reader, epoch: int, after: str = "") -> Iterator[PocCommit]:
    """Commits of an epoch's sprint, by host, from `after` (exclusive) on."""
    prefix = epoch_key(COMMITS, epoch)
    start = epoch_key(COMMITS, epoch, after) + b"\x00" if after else prefix
    for _, row in state.iterate(STORE, start, prefix_end(prefix)):
        yield PocCommit.FromString(row)


def votes(state: Reader, epoch: int, checker: str) -> PocVotes | None:
    """A checker's vote hash and, once revealed, its votes; None if it sent neither."""
    row = state.get(STORE, epoch_key(VOTES, epoch, checker))
    return None if row is None else PocVotes.FromString(row)


def put_commit(state: State, record: PocCommit) -> None:
    """Write a host's commit."""
    key = epoch_key(COMMITS, record.epoch_index, record.participant)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def put_votes(state: State, record: PocVotes) -> None:
    """Write a checker's vote hash or votes."""
    key = epoch_key(VOTES, record.epoch_index, record.checker)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def prune(block: Block) -> None:
    """Delete commits and votes of epochs past their time."""
    prune_rows(block, COMMITS)
    prune_rows(block, VOTES)
