"""Rows of schedules in the store `inference`. A slot is named by the epoch at whose switch it is released.

VestingSchedule/value/<address>/     epoch of the first slot, then the amount of each slot: 8 bytes each, big-endian
VestingRelease/value/                the release under way: epoch and totals (8 bytes each), address that came last
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pivot.chain.modules.bank.state import STREAMVESTING, send
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.coins import BASE_DENOM

STORE = "inference"
SCHEDULES = b"VestingSchedule/value/"
_RELEASE = b"VestingRelease/value/"
_NUMBER_BYTES = 8
_PROGRESS = struct.Struct(">QQQQ")


class Schedule(NamedTuple):
    """What one address gets, epoch by epoch."""

    first: int
    """Epoch of the first slot."""
    amounts: tuple[int, ...]
    """ngonka of each slot."""

    @property
    def total(self) -> int:
        """ngonka that are still to come."""
        return sum(self.amounts)


class Release(NamedTuple):
    """How far the release of an epoch's slots has come."""

    epoch: int
    unlocked: int = 0
    """ngonka paid so far."""
    paid: int = 0
    """Addresses that were paid."""
    processed: int = 0
    last: str = ""
    """The address that was looked at last."""


def schedule(reader: Reader, address: str) -> Schedule | None:
    """What an address still gets; None if it is nothing."""
    row = reader.get(STORE, _key(address))
    return None if row is None else decode_schedule(row)


def schedules(reader: Reader, after: str = "") -> Iterator[tuple[str, Schedule]]:
    """All addresses from the one behind `after` on, with what they still get, in order."""
    start = _key(after) + b"\x00" if after else SCHEDULES
    for key, row in reader.iterate(STORE, start, prefix_end(SCHEDULES)):
        yield key[len(SCHEDULES) : -1].decode(), decode_schedule(row)


def vest(block: Block, source: str, address: str, amount: int, epochs: int) -> None:
    """Move pay from the account that holds it into the next `epochs` slots of an address, above 0: the first takes the rest.

    Raises as `bank.send` does.
    """
    first = effective_index(block.state) + 1
    share, rest = divmod(amount, epochs)
    send(block, source, STREAMVESTING, amount)
    added = Schedule(first, (share + rest, *(share for _ in range(epochs - 1))))
    known = schedule(block.state, address)
    put_schedule(block.state, address, added if known is None else _summed(known, added))
    block.emit("vest_reward", participant=address, amount=f"{amount}{BASE_DENOM}", vesting_epochs=epochs)


def put_schedule(state: State, address: str, changed: Schedule) -> None:
    """Write what an address still gets; a schedule without slots is deleted."""
    if changed.amounts:
        numbers = (changed.first, *changed.amounts)
        state.set(STORE, _key(address), b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in numbers))
    else:
        state.delete(STORE, _key(address))


def release(reader: Reader) -> Release | None:
    """The release under way, if there is one."""
    row = reader.get(STORE, _RELEASE)
    if row is None:
        return None
    epoch, unlocked, paid, processed = _PROGRESS.unpack(row[: _PROGRESS.size])
    return Release(epoch, unlocked, paid, processed, row[_PROGRESS.size :].decode())


def put_release(state: State, under_way: Release) -> None:
    """Keep the place of a release that goes on in the next block."""
    state.set(STORE, _RELEASE, _PROGRESS.pack(*under_way[:-1]) + under_way.last.encode())


def forget_release(state: State) -> None:
    """The release is done."""
    state.delete(STORE, _RELEASE)


def decode_schedule(row: bytes) -> Schedule:
    """A schedule of its row."""
    first, *amounts = struct.unpack(f">{len(row) // _NUMBER_BYTES}Q", row)
    return Schedule(first, tuple(amounts))


def _summed(one: Schedule, other: Schedule) -> Schedule:
    """Both schedules, slot by slot."""
    first = min(one.first, other.first)
    end = max(each.first + len(each.amounts) for each in (one, other))
    amounts = [0] * (end - first)
    for each in (one, other):
        for position, amount in enumerate(each.amounts, each.first - first):
            amounts[position] += amount
    return Schedule(first, tuple(amounts))


def _key(address: str) -> bytes:
    return SCHEDULES + address.encode() + b"/"
