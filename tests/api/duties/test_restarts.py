"""A host that ends at any moment of an epoch, and begins again on what its disk has, does all its duties, each of them once.

The judge is the chain itself, which takes a duty only in its time, from whom it is due, once; and pays nobody with one undone.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf.message import Message

from pivot.chain.modules.validation.state import duties
from pivot.protocol.epochs import SEGMENTS, boundaries
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgCommitPoc,
    MsgRevealElement,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
    MsgSubmitValidations,
)
from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict
from tests.api.duties.host import LEAVES_PER_BLOCK
from tests.api.duties.network import FIRST_EPOCH, FIRST_SPRINT, NAMES, short_params
from tests.api.duties.town import End, Town, town
from tests.chain.chain import key

MARKS = boundaries(short_params().epoch_params, FIRST_SPRINT)
CLAIMED = MARKS.next_poc_start + MARKS.set_new_validators
"""About the height at which all have claimed."""
WRITES = 200
"""About so many things a host writes until then."""
LAST = CLAIMED + 40
SPRINT = range(FIRST_SPRINT, MARKS.set_new_validators)
EVERY_MOMENT = "EVERY_MOMENT" in os.environ
"""Whether every moment gets an epoch of its own, which takes some ten minutes."""


def for_each_host(moments: Sequence[int], epochs: int) -> list[tuple[int, ...]]:
    """One moment for each host of a town; all moments, or those of so many epochs, the same in every run."""
    chosen = list(moments)
    if not EVERY_MOMENT:
        chosen = Random(1).sample(chosen, epochs * len(NAMES))
    return [tuple(chosen[start : start + len(NAMES)]) for start in range(0, len(chosen), len(NAMES))]


def accepted(here: Town, name: str, kind: type[Message], epoch: int = FIRST_EPOCH) -> list[Any]:
    """What the chain has taken from a host."""
    return [
        each.message
        for each in here.network.said
        if isinstance(each.message, kind)
        and not each.code
        and each.message.epoch_index == epoch
        and each.creator == key(name).address
    ]


def require_sprint_done(here: Town, name: str) -> None:
    """All leaves committed, every other host checked and found right (so its leaves were served), voted once.

    A host that dies at the very beginning has not told its node yet, and loses a block's work.
    """
    [commit] = accepted(here, name, MsgCommitPoc)
    [node] = commit.nodes
    blocks = MARKS.poc_generation_end - MARKS.poc_start
    assert blocks - 1 <= node.count / LEAVES_PER_BLOCK <= blocks
    assert len(accepted(here, name, MsgSubmitPocVoteHash)) == 1
    require_all_found_right(here, name)


def require_all_found_right(here: Town, name: str) -> None:
    """It voted once, for every other host, whose leaves it has seen."""
    [votes] = accepted(here, name, MsgSubmitPocVotes)
    found = {vote.participant: (vote.verdict, vote.checked, vote.mismatched) for vote in votes.votes}
    size = short_params().poc_params.sample_size
    assert found == {key(other).address: (PocVerdict.POC_VALID, size, 0) for other in NAMES if other != name}


def require_answers_done(here: Town, name: str) -> None:
    """Every element revealed once and in order, every answer reported that it was drawn for, the epoch claimed once."""
    revealed = [message.segment for message in accepted(here, name, MsgRevealElement)]
    assert revealed == list(range(SEGMENTS))
    reports = [each.inference_id for message in accepted(here, name, MsgSubmitValidations) for each in message.reports]
    owed = duties(here.network.chain.state, FIRST_EPOCH, key(name).address)
    assert here.questions > SEGMENTS // 2
    assert owed.due == owed.done == len(reports) == len(set(reports)) > 0
    assert len(accepted(here, name, MsgClaimRewards)) == 1


def require_nothing_refused(here: Town) -> None:
    """Nobody has said anything that the chain did not want to hear."""
    assert [each for each in here.network.said if each.code] == []


async def lived(home: Path, ends: Iterable[End]) -> Town:
    """An epoch in which hosts end so."""
    async with town(home) as here:
        await here.live(list(ends), LAST)
        return here


def require_all_done(here: Town) -> None:
    require_nothing_refused(here)
    for name in NAMES:
        require_sprint_done(here, name)
        require_answers_done(here, name)


@pytest.mark.parametrize("gently", [False, True], ids=["killed", "told to end"])
async def test_a15_a35_at_every_height_of_an_epoch_some_host_ends_and_all_duties_are_done(
    tmp_path: Path, gently: bool
) -> None:
    heights = range(FIRST_SPRINT - 2, CLAIMED)
    ends = [End(NAMES[height % len(NAMES)], height, gently=gently) for height in heights]
    require_all_done(await lived(tmp_path, ends))


@pytest.mark.parametrize("heights", for_each_host(range(FIRST_SPRINT, CLAIMED), epochs=1), ids=str)
async def test_a_host_that_is_killed_once_does_all_its_duties(tmp_path: Path, heights: tuple[int, ...]) -> None:
    ends = [End(name, height) for name, height in zip(NAMES, heights, strict=False)]
    require_all_done(await lived(tmp_path, ends))


@pytest.mark.parametrize("writes", for_each_host(range(WRITES), epochs=2), ids=str)
async def test_a_host_that_dies_between_any_two_writes_does_all_its_duties(
    tmp_path: Path, writes: tuple[int, ...]
) -> None:
    ends = [End(name, writes=after) for name, after in zip(NAMES, writes, strict=False)]
    require_all_done(await lived(tmp_path, ends))


@pytest.mark.parametrize("heights", for_each_host(SPRINT, epochs=1), ids=str)
async def test_a_host_that_is_away_for_three_blocks_of_a_sprint_does_all_its_duties(
    tmp_path: Path, heights: tuple[int, ...]
) -> None:
    ends = [End(name, height, away=3) for name, height in zip(NAMES, heights, strict=False)]
    here = await lived(tmp_path, ends)
    require_nothing_refused(here)
    for name in NAMES:
        assert len(accepted(here, name, MsgCommitPoc)) == 1
        require_all_found_right(here, name)
        require_answers_done(here, name)


LONG = 10


@pytest.mark.parametrize("heights", for_each_host(range(FIRST_SPRINT - 2, CLAIMED - LONG), epochs=1), ids=str)
async def test_a_host_that_was_away_for_long_does_what_still_can_be_done_and_nothing_else(
    tmp_path: Path, heights: tuple[int, ...]
) -> None:
    here = await lived(tmp_path, [End(name, at, away=LONG) for name, at in zip(NAMES, heights, strict=False)])
    require_nothing_refused(here)
    for name, at in zip(NAMES, heights, strict=False):

        def there(first: int, last: int, at: int = at) -> bool:
            """Whether it was there at a height at which a message could be sent to be in a window."""
            return any(not at < height < at + LONG for height in range(first, last))

        committed = accepted(here, name, MsgCommitPoc)
        voted = accepted(here, name, MsgSubmitPocVotes)
        assert bool(committed) == there(MARKS.poc_generation_end + 1, MARKS.poc_exchange_end)
        assert bool(voted) == (
            there(MARKS.poc_validation_start, MARKS.poc_validation_reveal)
            and there(MARKS.poc_validation_reveal, MARKS.poc_validation_end)
        )
        if committed:
            require_answers_done(here, name)
