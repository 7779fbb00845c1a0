"""An answer's pay, shared among its executor and the checkers whose report was taken (spec chain.md, 3.7).

Each holds an equal part, the executor also the remainder; whatever joins or leaves, the sum is what the answer cost. The
checkers are the record's `validated_by`. What each of them holds stands beside it, because what an executor has been paid
out already cannot be shared any more: a checker then holds less, and never gives back more than it got.

    CheckerShares/value/<epoch><id>/     8 bytes per checker, in the order of `validated_by`: ngonka that it holds
"""

from pivot.chain.modules.bank.state import ESCROW, move
from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.rewards import earnings
from pivot.chain.modules.rewards.totals import note_spent
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol import pricing
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

STORE = "inference"
SHARES = b"CheckerShares/value/"
PRUNED_PER_BLOCK = 5_000
_AMOUNT_BYTES = 8


def join(state: State, record: Inference, checker: str) -> None:
    """Give a checker its part of the answer's pay. Changes the record, which the caller writes."""
    held = shares(state, record)
    record.validated_by.append(checker)
    _level(state, record, [*held, 0])


def leave(state: State, record: Inference, checker: str) -> None:
    """Share a checker's part out among the others. Changes the record, which the caller writes."""
    held = shares(state, record)
    place = list(record.validated_by).index(checker)
    del record.validated_by[place]
    freed = earnings.take_back(state, record.finished_epoch_id, checker, held.pop(place))
    earnings.give(state, record.executed_by, freed)
    _level(state, record, held)


def refund(state: State, record: Inference) -> int:
    """Give what the answer cost back to whom it came from, as far as its executor and checkers still have it.

    The gateway account, which paid only what the developer could not, comes second. Returns the refund in ngonka. Changes
    the record, which the caller writes: what it cost and what was returned still add up to its escrow.
    """
    epoch, held = record.finished_epoch_id, shares(state, record)
    taken = earnings.take_back(state, epoch, record.executed_by, record.actual_cost - sum(held))
    for checker, share in zip(record.validated_by, held, strict=True):
        taken += earnings.take_back(state, epoch, checker, share)
    _put(state, record, [0] * len(held))
    returned = pricing.refunds(record.escrow_amount, record.gateway_paid, record.actual_cost)
    to_developer = min(taken, record.escrow_amount - record.gateway_paid - returned[0])
    move(state, ESCROW, record.requested_by, to_developer)
    if taken > to_developer:
        move(state, ESCROW, record.gateway_address, taken - to_developer)
    record.actual_cost -= taken
    record.escrow_returned += taken
    note_spent(state, fee=-taken, refund=taken)
    return taken


def shares(reader: Reader, record: Inference) -> list[int]:
    """ngonka that each checker of the answer holds of its pay, in the order of `validated_by`."""
    row = reader.get(STORE, _key(record)) or bytes(_AMOUNT_BYTES * len(record.validated_by))
    return [int.from_bytes(row[at : at + _AMOUNT_BYTES]) for at in range(0, len(row), _AMOUNT_BYTES)]


def prune(block: Block) -> None:
    """Delete what belongs to epochs past their time."""
    prune_rows(block, SHARES, PRUNED_PER_BLOCK)


def _level(state: State, record: Inference, held: list[int]) -> None:
    """Bring every checker to an equal part: who has more gives it to the executor, from whom the others get theirs."""
    epoch, part = record.finished_epoch_id, record.actual_cost // (1 + len(held))
    checkers = list(record.validated_by)
    for place, checker in enumerate(checkers):
        if held[place] > part:
            moved = earnings.take_back(state, epoch, checker, held[place] - part)
            earnings.give(state, record.executed_by, moved)
            held[place] = part
    for place, checker in enumerate(checkers):
        if held[place] < part:
            moved = earnings.take_back(state, epoch, record.executed_by, part - held[place])
            earnings.give(state, checker, moved)
            held[place] += moved
    _put(state, record, held)


def _put(state: State, record: Inference, held: list[int]) -> None:
    if held:
        state.set(STORE, _key(record), b"".join(amount.to_bytes(_AMOUNT_BYTES) for amount in held))
    else:
        state.delete(STORE, _key(record))


def _key(record: Inference) -> bytes:
    return epoch_key(SHARES, record.finished_epoch_id, record.inference_id)
