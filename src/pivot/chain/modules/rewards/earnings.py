"""What checks and votes change in hosts' earnings, while an epoch runs and after it is settled."""

from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.rewards.state import (
    forget_settle_amount,
    put_settle_amount,
    put_stats,
    settle_amount,
    stats_of,
)
from pivot.chain.store.journal import State


def give(state: State, host: str, amount: int) -> None:
    """Let ngonka that the module's account holds be the host's earnings of the running epoch."""
    _add(state, effective_index(state), host, amount)


def take_back(state: State, epoch: int, host: str, amount: int) -> int:
    """Take ngonka of work out of what a host has earned in `epoch`. Returns how much it still had: never more than `amount`.

    Looked for where it lies: in the epoch's earnings, in what is settled and not claimed, then in the running epoch's
    earnings. What has been paid out is out of reach, and a host never owes anything.
    """
    taken = _take_earned(state, epoch, host, amount)
    taken += _take_settled(state, epoch, host, amount - taken)
    running = effective_index(state)
    if running != epoch:
        taken += _take_earned(state, running, host, amount - taken)
    return taken


def note_validated(state: State, host: str) -> None:
    """One of the host's answers was found to be right."""
    done = stats_of(state, effective_index(state), host)
    done.validated_inferences += 1
    put_stats(state, effective_index(state), host, done)


def note_invalidated(state: State, host: str) -> None:
    """One of the host's answers was found to be wrong."""
    done = stats_of(state, effective_index(state), host)
    done.invalidated_inferences += 1
    put_stats(state, effective_index(state), host, done)


def _add(state: State, epoch: int, host: str, amount: int) -> None:
    if amount:
        done = stats_of(state, epoch, host)
        done.earned_coins += amount
        put_stats(state, epoch, host, done)


def _take_earned(state: State, epoch: int, host: str, amount: int) -> int:
    taken = min(stats_of(state, epoch, host).earned_coins, amount)
    _add(state, epoch, host, -taken)
    return taken


def _take_settled(state: State, epoch: int, host: str, amount: int) -> int:
    owed = settle_amount(state, epoch, host)
    if owed is None:
        return 0
    taken = min(owed.work_coins, amount)
    owed.work_coins -= taken
    if owed.work_coins or owed.reward_coins:
        put_settle_amount(state, owed)
    else:
        forget_settle_amount(state, owed)
    return taken
