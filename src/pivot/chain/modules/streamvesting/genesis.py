"""Schedules in a genesis: the published list, each with the epoch of its first slot."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.streamvesting.queries import published
from pivot.chain.modules.streamvesting.state import Release, Schedule, put_release, put_schedule, release, schedules
from pivot.chain.types import Block, Reader
from pivot.primitives.coins import parse_amount
from pivot.protocol.generated.inference.streamvesting.types_pb2 import EpochCoins, VestingSchedule

FIRST_SLOT = "first_slot"
_NEXT_SWITCH = 1


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the schedules, and the release under way. A schedule that names no first slot begins at the first switch.

    Raises ValueError for an address that has two.
    """
    seen = set()
    for entry in document.get("vesting_schedule_list", []):
        fields = dict(entry)
        first = int(fields.pop(FIRST_SLOT, _NEXT_SWITCH))
        listed = json_format.ParseDict(fields, VestingSchedule())
        if listed.participant_address in seen:
            raise ValueError(f"the genesis has two vesting schedules of {listed.participant_address}")
        seen.add(listed.participant_address)
        amounts = tuple(_amount(slot) for slot in listed.epoch_amounts)
        put_schedule(block.state, listed.participant_address, Schedule(first, amounts))
    if "release" in document:
        put_release(block.state, Release(**document["release"]))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    listed = [
        json_format.MessageToDict(published(address, found), preserving_proto_field_name=True)
        | {FIRST_SLOT: found.first}
        for address, found in schedules(state)
    ]
    under_way = release(state)
    return {"vesting_schedule_list": listed} | ({"release": under_way._asdict()} if under_way else {})


def _amount(slot: EpochCoins) -> int:
    return sum(parse_amount(coin.amount) for coin in slot.coins)
