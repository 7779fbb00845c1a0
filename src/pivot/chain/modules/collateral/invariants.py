"""What holds after every block."""

from pivot.chain.modules.bank.state import COLLATERAL, balance
from pivot.chain.modules.collateral.state import (
    RELEASES,
    STORE,
    all_unbondings,
    collaterals,
)
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader


def check_collateral(state: Reader) -> None:
    """The module's account holds what stands behind weights and what is withdrawn, to the last coin.

    Every withdrawal stands in the queue of releases once, and nothing else does. Raises AssertionError.
    """
    withdrawn = list(all_unbondings(state))
    owed = sum(amount for _, amount in collaterals(state)) + sum(amount for *_, amount in withdrawn)
    held = balance(state, COLLATERAL)
    if held != owed:
        raise AssertionError(f"{COLLATERAL} holds {held} of collateral, but {owed} is owed")
    queued = [key for key, _ in state.iterate(STORE, RELEASES, prefix_end(RELEASES))]
    if queued != sorted(epoch_key(RELEASES, epoch, address) for address, epoch, _ in withdrawn):
        raise AssertionError(f"{len(withdrawn)} withdrawals are not the {len(queued)} that wait for their release")
