"""What a code of the chain means for an entry of the outbox."""

from enum import Enum, auto

from pivot.api.ledger.rpc import MEMPOOL_CODESPACE, MEMPOOL_TOO_LARGE, Verdict

SDK = "sdk"
NETWORK = "inference"
AUTHZ = "authz"


class Meaning(Enum):
    """What to do about a verdict."""

    GOOD = auto()
    """The chain has it, by this transaction or by an earlier one."""
    PASSING = auto()
    """Refused for a reason that passes: try again later."""
    FINAL = auto()
    """Refused for good."""


HAS_IT = {(NETWORK, 1101), (NETWORK, 1203)}
"""The inference's id exists; the duty is done: somebody, most often an earlier attempt of ours, was faster."""

PASSES = {
    (SDK, 4),  # unauthorized: the account's number was not the one that we knew
    (SDK, 5),  # insufficient funds
    (SDK, 9),  # the account does not exist yet
    (SDK, 13),  # insufficient fee: duties are free only once this host is a member
    (SDK, 19),  # the mempool has it
    (SDK, 30),  # timed out before it came into a block
    (SDK, 32),  # sequence
    (AUTHZ, 2),  # the host has not permitted it to this key, or not yet
    (NETWORK, 1108),  # outside its window: too early passes, too late ends with the entry's deadline
}
USED_TIMEOUT = "already used timeout"
"""The published sentence for an unordered transaction that has come before."""


def meaning(verdict: Verdict) -> Meaning:
    """How to read a verdict on a transaction or on an item of a batch."""
    if verdict.code == 0 or (verdict.codespace, verdict.code) in HAS_IT:
        return Meaning.GOOD
    if verdict.codespace == MEMPOOL_CODESPACE:
        return Meaning.FINAL if verdict.code == MEMPOOL_TOO_LARGE else Meaning.PASSING
    if (verdict.codespace, verdict.code) in PASSES or USED_TIMEOUT in verdict.log:
        return Meaning.PASSING
    return Meaning.FINAL
