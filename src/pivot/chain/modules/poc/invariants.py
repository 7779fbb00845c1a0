"""What holds after every block."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from google.protobuf.message import Message

from pivot.chain.modules.epochs.state import effective_index, epoch, epoch_key
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.participants.state import participant
from pivot.chain.modules.poc.messages import HASH_LENGTH
from pivot.chain.modules.poc.state import COMMITS, STORE, VOTES
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocVotes

Kind = TypeVar("Kind", bound=Message)


def check_commits(state: Reader) -> None:
    """Work is committed by hosts, for sprints that have begun, and no node's twice (W-12). Raises AssertionError."""
    begun = _begun(state)
    for key, record in _records(state, COMMITS, PocCommit):
        if key != epoch_key(COMMITS, record.epoch_index, record.participant) or not 0 < record.epoch_index <= begun:
            raise AssertionError(f"{record.participant} has a commit under {key!r}, the last sprint is that of {begun}")
        if participant(state, record.participant) is None:
            raise AssertionError(f"{record.participant} has committed for epoch {record.epoch_index} and is no host")
        numbers = {node.node_number for node in record.nodes}
        if len(numbers) != len(record.nodes) or len({node.node_id for node in record.nodes}) != len(record.nodes):
            raise AssertionError(f"{record.participant} has committed a node twice for epoch {record.epoch_index}")


def check_votes(state: Reader) -> None:
    """Only members vote, on each commit once, in the order of hosts, and no vote is readable before it is revealed.

    Raises AssertionError.
    """
    begun = _begun(state)
    electorates: dict[int, set[str]] = {}
    for key, record in _records(state, VOTES, PocVotes):
        index, checker = record.epoch_index, record.checker
        if key != epoch_key(VOTES, index, checker) or not 0 < index <= begun:
            raise AssertionError(f"{checker} has votes under {key!r}, the last sprint is that of {begun}")
        if index not in electorates:
            electorates[index] = {address for address, _ in weights(state, index - 1)}
        if electorates[index] and checker not in electorates[index]:  # forgotten before the votes: nothing to compare
            raise AssertionError(f"{checker} has votes for epoch {index} and was no member of the one before")
        if len(record.vote_hash) != HASH_LENGTH or bool(record.votes) != record.revealed:
            raise AssertionError(f"{checker} has votes for epoch {index} without a hash, or before they were revealed")
        if any(before.participant >= after.participant for before, after in pairwise(record.votes)):
            raise AssertionError(f"{checker} has voted twice on a host in the sprint of epoch {index}, or out of order")


def _begun(state: Reader) -> int:
    """Index of the last epoch whose sprint has begun."""
    current = effective_index(state)
    return current if epoch(state, current + 1) is None else current + 1


def _records(state: Reader, prefix: bytes, kind: type[Kind]) -> Iterator[tuple[bytes, Kind]]:
    for key, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        yield key, kind.FromString(row)
