"""What holds after every block."""

from itertools import pairwise

from pivot.chain.modules.epochs.state import EPOCHS, STORE, effective_index, epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries


def check_calendar(state: Reader) -> None:
    """Epochs follow one another; the one in force has a record, and at most the one after it has been made already.

    A record stands under its index, its heights are in the order in which things happen, and its sprint begins when the
    epoch before lets it. Raises AssertionError.
    """
    kept = []
    for key, row in state.iterate(STORE, EPOCHS, prefix_end(EPOCHS)):
        kept.append(record := Epoch.FromString(row))
        if key != epoch_key(EPOCHS, record.index):
            raise AssertionError(f"the record of epoch {record.index} stands under {key!r}")
        if record.index and not _is_ordered(record):
            raise AssertionError(f"the heights of epoch {record.index} are out of order: {record.boundaries}")
    for before, after in pairwise(kept):
        if after.index != before.index + 1 or after.boundaries.poc_start < before.boundaries.next_poc_start:
            raise AssertionError(f"epoch {after.index} does not follow epoch {before.index}")
    current = effective_index(state)
    if not kept or kept[-1].index not in (current, current + 1) or kept[0].index > current:
        raise AssertionError(f"epoch {current} is in force, there are {[each.index for each in kept]}")


def _is_ordered(record: Epoch) -> bool:
    marks: EpochBoundaries = record.boundaries
    heights = (
        record.poc_start_block_height,
        marks.poc_start,
        marks.poc_generation_wind_down,
        marks.poc_generation_end,
        marks.poc_exchange_end,
        marks.poc_validation_start,
        marks.poc_validation_reveal,
        marks.poc_validation_wind_down,
        marks.poc_validation_end,
        marks.set_new_validators,
        marks.claim_money,
        marks.randomness_freeze,
        marks.next_poc_start,
    )
    return heights[0] == heights[1] and all(earlier <= later for earlier, later in pairwise(heights))
