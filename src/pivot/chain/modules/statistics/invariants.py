"""What holds after every block."""

from pivot.chain.modules.epochs.state import effective_index, epoch_key
from pivot.chain.modules.statistics.state import (
    ANSWERS,
    BY_DEVELOPER,
    BY_MODEL,
    STORE,
    Totals,
    totals_between,
)
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.primitives.numbers import MAX_UINT64
from pivot.protocol.generated.inference.inference.types_pb2 import DeveloperStatsByTime


def check_totals(state: Reader) -> None:
    """The totals of the epoch in force are the sums of its answers, by developer and by model.

    Of other epochs answers may be forgotten, totals not yet. Raises AssertionError.
    """
    current = effective_index(state)
    sums: dict[tuple[bytes, str], Totals] = {}
    prefix = epoch_key(ANSWERS, current)
    for key, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        answer = DeveloperStatsByTime.FromString(row).inference
        one = Totals(answer.total_token_count, 1, answer.actual_cost_in_coins)
        developer = key[len(prefix) :].partition(b"/")[0].decode()
        for named in ((BY_DEVELOPER, developer), (BY_MODEL, answer.model)):
            sums[named] = sums.get(named, Totals()).plus(one)
    written = {
        (kind, name): found
        for kind in (BY_DEVELOPER, BY_MODEL)
        for _, name, found in totals_between(state, kind, current, current)
    }
    summed = {named: Totals(*(min(number, MAX_UINT64) for number in each)) for named, each in sums.items()}
    if written != summed:
        raise AssertionError(f"the totals of epoch {current} are {written}, its answers give {summed}")
