"""Which waiting transactions go into a block, and in which order."""

from collections.abc import Callable, Iterable, Sequence

from pivot.chain.transaction import Transaction

VARINT_BITS = 7


def choose(waiting: Sequence[Transaction], goes_first: Callable[[Transaction], bool], max_bytes: int) -> list[bytes]:
    """Transactions of a proposal of at most `max_bytes`: those that go first, then the rest, each by arrival.

    An ordered transaction never passes an earlier one of the same account. What does not fit waits, and so does
    everything behind it.
    """
    first: list[bytes] = []
    rest: list[bytes] = []
    held: set[str] = set()  # accounts with an ordered transaction among the rest
    for transaction in waiting:
        who = [signer.address for signer in transaction.signers]
        if goes_first(transaction) and (transaction.unordered or held.isdisjoint(who)):
            first.append(transaction.raw)
            continue
        rest.append(transaction.raw)
        if not transaction.unordered:
            held.update(who)
    return list(_fitting([*first, *rest], max_bytes))


def _fitting(transactions: Iterable[bytes], room: int) -> Iterable[bytes]:
    for raw in transactions:
        room -= size_in_block(len(raw))
        if room < 0:
            return
        yield raw


def size_in_block(length: int) -> int:
    """Bytes that a transaction of `length` bytes takes in a block: a tag, its length as a varint, itself."""
    return 1 + max(1, -(-length.bit_length() // VARINT_BITS)) + length
