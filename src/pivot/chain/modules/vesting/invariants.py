"""What holds after every block."""

from pivot.chain.modules.auth.state import account
from pivot.chain.modules.vesting.schedules import amount_of
from pivot.chain.modules.vesting.state import STORE, VESTING_PREFIX, locked, vesting_account
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.primitives.addresses import from_bytes


def check_locks(state: Reader) -> None:
    """Whoever has locked coins has an account, and never more is locked than was at first. Raises AssertionError."""
    for key, _ in state.iterate(STORE, VESTING_PREFIX, prefix_end(VESTING_PREFIX)):
        address = from_bytes(key[len(VESTING_PREFIX) :])
        found = vesting_account(state, address)
        if found is None or account(state, address) is None:
            raise AssertionError(f"{address} has locked coins, but no account")
        original, left = amount_of(found.base_vesting_account.original_vesting), locked(state, address)
        if not 0 <= left <= original:
            raise AssertionError(f"{left} of {original} are locked in the account {address}")
