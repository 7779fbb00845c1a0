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


def commits(state: Reader, epoch: int) -> Iterator[PocCommit]:
    """All commits of an epoch's sprint, by host."""
    prefix = epoch_key(COMMITS, epoch)
    for _, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        yield PocCommit.FromString(row)


def votes(state: Reader, epoch: int, checker: str) -> PocVotes | None:
    """A checker's vote hash and, once revealed, its votes; None if it sent neither."""
    row = state.get(STORE, epoch_key(VOTES, epoch, checker))
    return None if row is None else PocVotes.FromString(row)


def all_votes(state: Reader, epoch: int) -> Iterator[PocVotes]:
    """Vote hashes and votes of an epoch's checkers, by checker."""
    prefix = epoch_key(VOTES, epoch)
    for _, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        yield PocVotes.FromString(row)


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
