"""Rows of statistics in the store `inference`. All are written once, when an answer is finished (W-24).

AnswerStats/value/<epoch, 8 bytes>/<developer>/<time, 8 bytes><id>   DeveloperStatsByTime; times in milliseconds
DeveloperTotals/value/<epoch, 8 bytes>/<developer>/                  what one developer asked for in an epoch
ModelTotals/value/<epoch, 8 bytes>/<model>/                          what a model answered in an epoch
MinuteTotals/value/<minute, 8 bytes>/<model>/                        what a model answered in a minute of block time

Totals are three numbers of 8 bytes: tokens, answers, ngonka. An answer changes one total of each kind.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import effective_index, epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.numbers import MAX_UINT64
from pivot.protocol.generated.inference.inference.types_pb2 import DeveloperStatsByTime, Inference, InferenceStats

STORE = "inference"
ANSWERS = b"AnswerStats/value/"
BY_DEVELOPER = b"DeveloperTotals/value/"
BY_MODEL = b"ModelTotals/value/"
BY_MINUTE = b"MinuteTotals/value/"
MILLISECONDS_PER_MINUTE = 60_000
EPOCHS_KEPT = 30
"""Epochs for which totals are kept: as long as hosts' summaries."""
MINUTES_KEPT = 7 * 24 * 60
"""A week."""
ANSWERS_PRUNED_PER_BLOCK = 5_000
"""No fewer than one block settles."""
TOTALS_PRUNED_PER_BLOCK = 500
_NANOSECONDS_PER_MILLISECOND = 10**6
_NUMBER_BYTES = 8
_TOTALS = struct.Struct(">QQQ")


class Totals(NamedTuple):
    """Sums over answers."""

    tokens: int = 0
    """Of prompts and completions."""
    answers: int = 0
    cost: int = 0
    """ngonka."""

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return Totals(self.tokens + other.tokens, self.answers + other.answers, self.cost + other.cost)


def note_answered(state: State, record: Inference, tokens: int) -> None:
    """An inference was finished that counts for so many tokens: write its row and add it to the totals.

    What is found out later changes neither.
    """
    epoch = effective_index(state)
    one = Totals(tokens, 1, record.actual_cost)
    put_answer(
        state,
        record.requested_by,
        DeveloperStatsByTime(
            epoch_id=epoch,
            timestamp=record.end_block_timestamp,
            inference=InferenceStats(
                inference_id=record.inference_id,
                epoch_id=epoch,
                status=record.status,
                total_token_count=one.tokens,
                model=record.model,
                actual_cost_in_coins=one.cost,
            ),
        ),
    )
    minute = record.end_block_timestamp // MILLISECONDS_PER_MINUTE
    for key in (
        epoch_key(BY_DEVELOPER, epoch, record.requested_by),
        epoch_key(BY_MODEL, epoch, record.model),
        epoch_key(BY_MINUTE, minute, record.model),
    ):
        put_totals(state, key, totals(state, key).plus(one))


def put_answer(state: State, developer: str, answer: DeveloperStatsByTime) -> None:
    """Write the row of an answer."""
    key = _answers_key(answer.epoch_id, developer, answer.timestamp) + answer.inference.inference_id.encode()
    state.set(STORE, key, answer.SerializeToString(deterministic=True))


def answers(reader: Reader, epoch: int, developer: str, first: int, last: int) -> Iterator[DeveloperStatsByTime]:
    """A developer's answers that were finished in an epoch, from one millisecond to another, oldest first."""
    start, end = _answers_key(epoch, developer, first), _answers_key(epoch, developer, last + 1)
    for _, row in reader.iterate(STORE, start, end):
        yield DeveloperStatsByTime.FromString(row)


def all_answers(reader: Reader, *, reverse: bool = False) -> Iterator[tuple[str, DeveloperStatsByTime]]:
    """(developer, answer) by epoch, developer and time; `reverse`: the last ones first."""
    for key, row in reader.iterate(STORE, ANSWERS, prefix_end(ANSWERS), reverse=reverse):
        developer, _, _ = key[len(ANSWERS) + _NUMBER_BYTES + 1 :].partition(b"/")
        yield developer.decode(), DeveloperStatsByTime.FromString(row)


def totals(reader: Reader, key: bytes) -> Totals:
    """The totals under a key of one of the three kinds."""
    row = reader.get(STORE, key)
    return Totals() if row is None else Totals(*_TOTALS.unpack(row))


def put_totals(state: State, key: bytes, changed: Totals) -> None:
    """Write totals, each as far as its 8 bytes hold it: the same coins may pay for answers, and come back, any number of times."""
    state.set(STORE, key, _TOTALS.pack(*(min(number, MAX_UINT64) for number in changed)))


def totals_between(reader: Reader, prefix: bytes, first: int, last: int) -> Iterator[tuple[int, str, Totals]]:
    """(epoch or minute, name, totals) of one of the three kinds, from one epoch or minute to another."""
    for key, row in reader.iterate(STORE, epoch_key(prefix, first), epoch_key(prefix, last + 1)):
        index = int.from_bytes(key[len(prefix) : len(prefix) + _NUMBER_BYTES])
        yield index, key[len(prefix) + _NUMBER_BYTES + 1 : -1].decode(), Totals(*_TOTALS.unpack(row))


def prune(block: Block) -> None:
    """Delete answers together with their inferences' records, and totals later, oldest first, some per block."""
    prune_rows(block, ANSWERS, ANSWERS_PRUNED_PER_BLOCK)
    oldest_epoch = effective_index(block.state) - EPOCHS_KEPT
    oldest_minute = block.time // _NANOSECONDS_PER_MILLISECOND // MILLISECONDS_PER_MINUTE - MINUTES_KEPT
    for prefix, oldest in ((BY_DEVELOPER, oldest_epoch), (BY_MODEL, oldest_epoch), (BY_MINUTE, oldest_minute)):
        _forget_before(block.state, prefix, oldest)


def _forget_before(state: State, prefix: bytes, oldest: int) -> None:
    if oldest > 0:
        for key, _ in islice(state.iterate(STORE, prefix, epoch_key(prefix, oldest)), TOTALS_PRUNED_PER_BLOCK):
            state.delete(STORE, key)


def _answers_key(epoch: int, developer: str, time: int) -> bytes:
    return epoch_key(ANSWERS, epoch, developer) + time.to_bytes(_NUMBER_BYTES, "big")
