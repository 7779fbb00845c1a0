"""What the whole network has earned and paid so far, kept as it happens. Row of the store `inference`.

TokenomicsData/value/     TokenomicsData, in ngonka. Nothing is ever burned: what a host loses goes to the community pool
"""

from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.numbers import MAX_UINT64
from pivot.protocol.generated.inference.inference.types_pb2 import TokenomicsData

STORE = "inference"
_TOTALS = b"TokenomicsData/value/"


def tokenomics(reader: Reader) -> TokenomicsData:
    """All fees, rewards and refunds since the genesis."""
    return TokenomicsData.FromString(reader.get(STORE, _TOTALS) or b"")


def put_tokenomics(state: State, record: TokenomicsData) -> None:
    """Write the totals; without any there is no row."""
    row = record.SerializeToString(deterministic=True)
    if row:
        state.set(STORE, _TOTALS, row)


def note_spent(state: State, fee: int, refund: int) -> None:
    """Of an escrow this much was paid for an answer, and this much went back. A fee that is given back later is negative."""
    record = tokenomics(state)
    record.total_fees = _within_field(record.total_fees + fee)
    record.total_refunded = _within_field(record.total_refunded + refund)
    put_tokenomics(state, record)


def note_rewards(state: State, amount: int) -> None:
    """So much of an epoch's reward was given to hosts."""
    record = tokenomics(state)
    record.total_subsidies = _within_field(record.total_subsidies + amount)
    put_tokenomics(state, record)


def _within_field(total: int) -> int:
    """A total as its published field holds it, so that no sum ends the chain.

    The same coins may be refunded any number of times, and a genesis may leave out the totals of what is refunded after it.
    """
    return max(0, min(total, MAX_UINT64))
