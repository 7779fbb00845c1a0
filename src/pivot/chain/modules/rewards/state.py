"""Rows of what hosts have done and what they are owed, by epoch (8 bytes, big-endian) and address.

EpochStats/value/<epoch>/<address>/               what a host has done in an epoch that is not settled yet
SettleAmount/value/<epoch>/<address>/             what it may claim
EpochPerformanceSummary/value/<epoch>/<address>/  what it had done, for later
Settlement/value/                                 the settlement under way
"""

from collections.abc import Iterator

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import effective_index, epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CurrentEpochStats,
    EpochPerformanceSummary,
    SettleAmount,
    Settlement,
)

STORE = "inference"
STATS = b"EpochStats/value/"
SETTLE_AMOUNTS = b"SettleAmount/value/"
SUMMARIES = b"EpochPerformanceSummary/value/"
EPOCH_BYTES = 8
_SETTLEMENT = b"Settlement/value/"


def stats(reader: Reader, host: str) -> CurrentEpochStats:
    """What a host has done in the epoch that serves now; a message of zeros for others."""
    return stats_of(reader, effective_index(reader), host)


def stats_of(reader: Reader, epoch: int, host: str) -> CurrentEpochStats:
    """What a host has done in an epoch that is not settled yet."""
    return CurrentEpochStats.FromString(reader.get(STORE, epoch_key(STATS, epoch, host)) or b"")


def note_finished(state: State, host: str, cost: int) -> None:
    """The host has answered a request that cost `cost` ngonka; free ones count as well (W-20)."""
    index = effective_index(state)
    done = stats_of(state, index, host)
    done.inference_count += 1
    done.earned_coins += cost
    put_stats(state, index, host, done)


def note_missed(state: State, host: str) -> None:
    """The host has accepted a request and never answered it."""
    index = effective_index(state)
    done = stats_of(state, index, host)
    done.missed_requests += 1
    put_stats(state, index, host, done)


def put_stats(state: State, epoch: int, host: str, done: CurrentEpochStats) -> None:
    """Write what a host has done in an epoch that is not settled yet; who has done nothing has no row."""
    row = done.SerializeToString(deterministic=True)
    if row:
        state.set(STORE, epoch_key(STATS, epoch, host), row)
    else:
        state.delete(STORE, epoch_key(STATS, epoch, host))


def active_hosts(state: Reader, epoch: int, after: str) -> Iterator[str]:
    """Addresses from `after` on that have done something in an epoch which is not settled yet, in order."""
    prefix = epoch_key(STATS, epoch)
    for key, _ in state.iterate(STORE, epoch_key(STATS, epoch, after) if after else prefix, prefix_end(prefix)):
        yield key[len(prefix) : -1].decode()


def forget_stats(state: State, epoch: int, host: str) -> None:
    """Delete what is settled."""
    state.delete(STORE, epoch_key(STATS, epoch, host))


def settle_amount(reader: Reader, epoch: int, host: str) -> SettleAmount | None:
    """What a host may claim of an epoch; None if it is nothing, not settled yet, claimed, or too late."""
    row = reader.get(STORE, epoch_key(SETTLE_AMOUNTS, epoch, host))
    return None if row is None else SettleAmount.FromString(row)


def put_settle_amount(state: State, owed_amount: SettleAmount) -> None:
    """Write what a host may claim."""
    key = epoch_key(SETTLE_AMOUNTS, owed_amount.epoch_index, owed_amount.participant)
    state.set(STORE, key, owed_amount.SerializeToString(deterministic=True))


def forget_settle_amount(state: State, owed_amount: SettleAmount) -> None:
    """Delete what is claimed or has gone to the community pool."""
    state.delete(STORE, epoch_key(SETTLE_AMOUNTS, owed_amount.epoch_index, owed_amount.participant))


def settle_amounts(reader: Reader, before_epoch: int | None = None) -> Iterator[SettleAmount]:
    """What is not claimed of the epochs before one (None: of all), oldest first."""
    end = prefix_end(SETTLE_AMOUNTS) if before_epoch is None else epoch_key(SETTLE_AMOUNTS, before_epoch)
    for _, row in reader.iterate(STORE, SETTLE_AMOUNTS, end):
        yield SettleAmount.FromString(row)


def all_stats(reader: Reader) -> Iterator[tuple[int, str, CurrentEpochStats]]:
    """(epoch, host, what it has done) of all epochs that are not settled yet."""
    for key, row in reader.iterate(STORE, STATS, prefix_end(STATS)):
        epoch, host = key[len(STATS) : len(STATS) + EPOCH_BYTES], key[len(STATS) + EPOCH_BYTES + 1 : -1]
        yield int.from_bytes(epoch), host.decode(), CurrentEpochStats.FromString(row)


def summaries(reader: Reader) -> Iterator[EpochPerformanceSummary]:
    """What hosts did in the settled epochs that are kept, oldest first."""
    for _, row in reader.iterate(STORE, SUMMARIES, prefix_end(SUMMARIES)):
        yield EpochPerformanceSummary.FromString(row)


def summary(reader: Reader, epoch: int, host: str) -> EpochPerformanceSummary | None:
    """What a host did in a settled epoch."""
    row = reader.get(STORE, epoch_key(SUMMARIES, epoch, host))
    return None if row is None else EpochPerformanceSummary.FromString(row)


def require_summary(reader: Reader, epoch: int, host: str) -> EpochPerformanceSummary:
    """What a host did in a settled epoch. Raises NetworkError (EPOCH_NOT_FOUND)."""
    found = summary(reader, epoch, host)
    if found is None:
        raise NetworkError(NetworkCode.EPOCH_NOT_FOUND, f"{host} has no settled epoch {epoch}")
    return found


def put_summary(state: State, record: EpochPerformanceSummary) -> None:
    """Write what a host did."""
    key = epoch_key(SUMMARIES, record.epoch_index, record.participant_id)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def settlement(reader: Reader) -> Settlement | None:
    """The settlement under way, if there is one."""
    row = reader.get(STORE, _SETTLEMENT)
    return None if row is None else Settlement.FromString(row)


def put_settlement(state: State, record: Settlement) -> None:
    """Keep the place of a settlement that goes on in the next block."""
    state.set(STORE, _SETTLEMENT, record.SerializeToString(deterministic=True))


def forget_settlement(state: State) -> None:
    """The settlement is done."""
    state.delete(STORE, _SETTLEMENT)


def owed(reader: Reader) -> int:
    """ngonka that the module's account holds for hosts: earned and not settled, or settled and not claimed."""
    earned = sum(done.earned_coins for _, _, done in all_stats(reader))
    return earned + sum(row.reward_coins + row.work_coins for row in settle_amounts(reader))
