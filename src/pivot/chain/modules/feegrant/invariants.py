"""What holds after every block."""

from pivot.chain.modules.feegrant.allowances import expiration
from pivot.chain.modules.feegrant.state import (
    BY_GRANTER_PREFIX,
    EXPIRY_PREFIX,
    STORE,
    grants,
)
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader


def check_allowances(state: Reader) -> None:
    """Every allowance is found by its granter and, if it ends, by its end; nothing else is. Raises AssertionError."""
    given = list(grants(state))
    ending = sum(1 for each in given if expiration(each.allowance))
    found = [_rows(state, prefix) for prefix in (BY_GRANTER_PREFIX, EXPIRY_PREFIX)]
    if found != [len(given), ending]:
        raise AssertionError(
            f"there are {len(given)} allowances, {ending} of them with an end, but {found[0]} and {found[1]} rows to find them"
        )


def _rows(state: Reader, prefix: bytes) -> int:
    return sum(1 for _ in state.iterate(STORE, prefix, prefix_end(prefix)))
