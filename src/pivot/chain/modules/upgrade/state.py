"""Rows of the store `upgrade`.

00             Plan that is scheduled
01 ‖ name      height at which a plan was applied, 8 bytes, big-endian
02             name of the plan that was applied last
"""

from collections.abc import Iterator

from cosmos.upgrade.v1beta1.upgrade_pb2 import Plan

from pivot.chain.modules.upgrade.plans import UPGRADES, TooEarly, TooOld, UpgradeNeeded
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader

STORE = "upgrade"
PLAN_KEY = b"\x00"
APPLIED = b"\x01"
LAST_KEY = b"\x02"
HEIGHT_BYTES = 8


def plan(state: Reader) -> Plan | None:
    """The upgrade that is scheduled, or None."""
    row = state.get(STORE, PLAN_KEY)
    return None if row is None else Plan.FromString(row)


def schedule(state: State, agreed: Plan) -> None:
    """Schedule an upgrade, in place of one that was scheduled before."""
    state.set(STORE, PLAN_KEY, agreed.SerializeToString(deterministic=True))


def cancel(state: State) -> None:
    """Schedule nothing."""
    state.delete(STORE, PLAN_KEY)


def applied_height(state: Reader, name: str) -> int:
    """Height at which the plan of this name was applied; 0 if it was not."""
    return int.from_bytes(state.get(STORE, _applied_key(name)) or b"")


def applied(state: Reader) -> Iterator[tuple[str, int]]:
    """Name and height of every plan that was applied, by name."""
    for key, row in state.iterate(STORE, APPLIED, prefix_end(APPLIED)):
        yield key[len(APPLIED) :].decode(), int.from_bytes(row)


def last_applied(state: Reader) -> str:
    """Name of the plan that was applied last; empty if there was none."""
    return (state.get(STORE, LAST_KEY) or b"").decode()


def note_applied(state: State, name: str, height: int) -> None:
    """Write down that a plan has been applied."""
    state.set(STORE, _applied_key(name), height.to_bytes(HEIGHT_BYTES))
    state.set(STORE, LAST_KEY, name.encode())


def begin(block: Block) -> None:
    """Apply the plan whose height has come, before anything else happens in its block.

    Raises UpgradeNeeded if this version does not know it, TooEarly if it knows one whose height has not come, TooOld if the
    state has already been changed by one that it does not know. Nothing has been written then: another version goes on here.
    """
    last = last_applied(block.state)
    if last and last not in UPGRADES:
        raise TooOld(last)
    scheduled = plan(block.state)
    if scheduled is None:
        return
    if block.height < scheduled.height:
        if scheduled.name in UPGRADES:
            raise TooEarly(scheduled.name, scheduled.height)
        return
    migrate = UPGRADES.get(scheduled.name)
    if migrate is None:
        raise UpgradeNeeded(scheduled.name, scheduled.height, scheduled.info)
    cancel(block.state)
    migrate(block)
    note_applied(block.state, scheduled.name, block.height)
    block.emit("upgrade_applied", name=scheduled.name, height=block.height)


def _applied_key(name: str) -> bytes:
    return APPLIED + name.encode()
