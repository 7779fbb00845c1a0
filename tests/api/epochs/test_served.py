"""Records of the epochs whose answers are checked, also after a restart and for one that was missed."""

import pytest

from pivot.api.database import Database
from pivot.api.epochs.served import ServedEpochs, earlier
from pivot.api.ledger.interface import ChainUnavailable
from pivot.api.validation.duties import segments_over
from pivot.protocol.epochs import SEGMENTS, segment_end
from tests.api.databases import ON_BOTH
from tests.api.fleet.chain import FakeChain, FakePhases, epoch

pytestmark = ON_BOTH


async def test_the_epoch_before_is_remembered_after_a_restart(database: Database) -> None:
    first, second = epoch(1), epoch(2, 130)
    first.params.validation_params.dispute_duration = 77
    chain = FakeChain(latest=second, effective=second)
    await ServedEpochs(database, chain).note(first)
    phases = FakePhases(chain)
    await phases.at(200)
    assert phases.moment is not None
    restarted = ServedEpochs(database, chain)
    assert await restarted.get(1, phases.moment) == first
    assert await restarted.get(1, phases.moment) == first
    assert await restarted.get(2, phases.moment) == second
    for index in (2, 3, 4, 4):
        await restarted.note(epoch(index, 10 + 120 * (index - 1)))
    missed = await ServedEpochs(database, chain).get(1, phases.moment)
    assert missed == earlier(second, 1)
    assert missed.boundaries == epoch(1).boundaries
    assert missed.params == second.params


async def test_an_epoch_that_was_missed_is_asked_of_the_chain(database: Database) -> None:
    missed, current = epoch(1), epoch(2, 130)
    missed.params.validation_params.dispute_duration = 77
    chain = FakeChain(latest=current, effective=current, records_of_epochs={1: missed})
    phases = FakePhases(chain)
    await phases.at(200)
    assert phases.moment is not None
    epochs = ServedEpochs(database, chain)
    for _ in range(2):
        assert await epochs.get(1, phases.moment) == missed
    assert chain.asked.count("EpochRecord") == 1
    chain.down = True
    with pytest.raises(ChainUnavailable):
        await epochs.get(0, phases.moment)


def test_the_last_segment_lasts_until_the_next_epoch_serves() -> None:
    marks = epoch(1).boundaries
    for segment in range(SEGMENTS - 1):
        assert segments_over(marks, segment_end(marks, segment), in_force=True) == segment
        assert segments_over(marks, segment_end(marks, segment) + 1, in_force=True) == segment + 1
    assert segments_over(marks, segment_end(marks, SEGMENTS - 1) + 50, in_force=True) == SEGMENTS - 1
    assert segments_over(marks, 0, in_force=False) == SEGMENTS
