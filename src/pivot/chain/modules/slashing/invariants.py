"""What holds after every block."""

from collections import Counter

from pivot.chain.modules.slashing.state import all_missed, watched
from pivot.chain.types import Reader


def check_signing(state: Reader) -> None:
    """Every missed block is counted once, for a key in the engine's set. Raises AssertionError."""
    rows = Counter(address20 for address20, _ in all_missed(state))
    counted = {address20: found.missed for address20, found in watched(state) if found.missed}
    if rows != counted:
        raise AssertionError(f"{sum(rows.values())} rows of missed blocks are counted as {sum(counted.values())}")
