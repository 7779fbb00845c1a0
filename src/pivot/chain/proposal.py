"""Which waiting transactions go into a block, and in which order; and what a proposal may not hold."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from pivot.chain.transaction import Transaction

VARINT_BITS = 7


class Space(Protocol):
    """One block's space for duties that cost nothing (`chain/free_space.py`)."""

    def hosts(self, transaction: Transaction) -> tuple[str, ...]: ...

    def has_room(self, hosts: tuple[str, ...], gas: int) -> bool: ...

    def is_first(self, hosts: tuple[str, ...]) -> bool: ...

    def take(self, hosts: tuple[str, ...], gas: int) -> None: ...


def choose(waiting: Sequence[Transaction], space: Space, max_bytes: int) -> list[bytes]:
    """Transactions of a proposal of at most `max_bytes`: hosts' urgent duties first, then the others, each by arrival.

    A free duty beyond its host's share comes behind all others if it is the host's only one, else it waits. An ordered
    transaction never passes an earlier one of the same account. What does not fit waits, and so does everything behind it.
    """
    hosts = [space.hosts(transaction) for transaction in waiting]
    chosen: list[bytes] = []
    late: list[int] = []
    held: set[str] = set()  # accounts with an ordered transaction among the late ones
    for position in _urgent_first(waiting, hosts):
        transaction = waiting[position]
        if _follows(transaction, held) or not space.has_room(hosts[position], transaction.gas):
            late.append(position)
            _hold(transaction, held)
            continue
        space.take(hosts[position], transaction.gas)
        chosen.append(transaction.raw)

    held = set()  # accounts with an ordered transaction that waits for another block
    for position in late:
        transaction = waiting[position]
        if _follows(transaction, held) or not _finds_room(space, hosts[position], transaction.gas):
            _hold(transaction, held)
            continue
        space.take(hosts[position], transaction.gas)
        chosen.append(transaction.raw)
    return list(_fitting(chosen, max_bytes))


def shares_out(transactions: Iterable[Transaction], space: Space) -> bool:
    """Whether no host's free duties take more of a proposal than they may."""
    for transaction in transactions:
        hosts = space.hosts(transaction)
        if not _finds_room(space, hosts, transaction.gas):
            return False
        space.take(hosts, transaction.gas)
    return True


def _finds_room(space: Space, hosts: tuple[str, ...], gas: int) -> bool:
    return space.has_room(hosts, gas) or space.is_first(hosts)


def _urgent_first(waiting: Sequence[Transaction], hosts: Sequence[tuple[str, ...]]) -> list[int]:
    """Positions in the queue, those of hosts' urgent duties first."""
    first: list[int] = []
    rest: list[int] = []
    held: set[str] = set()  # accounts with an ordered transaction among the rest
    for position, transaction in enumerate(waiting):
        if hosts[position] and transaction.is_urgent and not _follows(transaction, held):
            first.append(position)
        else:
            rest.append(position)
            _hold(transaction, held)
    return first + rest


def _follows(transaction: Transaction, held: set[str]) -> bool:
    """Whether it is ordered and one of its accounts has an earlier one that is held back."""
    return not transaction.unordered and not held.isdisjoint(signer.address for signer in transaction.signers)


def _hold(transaction: Transaction, held: set[str]) -> None:
    if not transaction.unordered:
        held.update(signer.address for signer in transaction.signers)


def _fitting(transactions: Iterable[bytes], room: int) -> Iterable[bytes]:
    for raw in transactions:
        room -= size_in_block(len(raw))
        if room < 0:
            return
        yield raw


def size_in_block(length: int) -> int:
    """Bytes that a transaction of `length` bytes takes in a block: a tag, its length as a varint, itself."""
    return 1 + max(1, -(-length.bit_length() // VARINT_BITS)) + length
