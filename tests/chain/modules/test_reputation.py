"""Reputation out of summaries of settled epochs."""

import pytest

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.reputation.state import missed_share, reputation
from pivot.chain.modules.rewards.state import put_summary
from pivot.chain.types import Block
from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.inference.types_pb2 import EpochPerformanceSummary
from tests.chain.chain import key
from tests.chain.requests import add_epoch, network

ALICE = key("alice").address


def in_epoch(index: int) -> Block:
    block = network()
    add_epoch(block, index, 10 + 120 * index, {"alice": 1})
    block.state.set(epochs.STORE, b"EffectiveEpochIndex/value/", index.to_bytes(8))
    return block


def served(block: Block, epoch: int, answered: int = 100, missed: int = 0) -> None:
    put_summary(
        block.state,
        EpochPerformanceSummary(
            epoch_index=epoch, participant_id=ALICE, inference_count=answered, missed_requests=missed
        ),
    )


@pytest.mark.parametrize(("epochs_served", "expected"), [(0, 0), (1, 3), (10, 33), (15, 50), (29, 96), (30, 100)])
def test_it_grows_with_the_epochs_served(epochs_served: int, expected: int) -> None:
    block = in_epoch(40)
    for epoch in range(40 - epochs_served, 40):
        served(block, epoch)
    assert reputation(block.state, ALICE) == expected


def test_what_is_longer_ago_than_thirty_epochs_is_forgotten() -> None:
    block = in_epoch(40)
    served(block, 9)
    assert reputation(block.state, ALICE) == 0
    served(block, 10)
    assert reputation(block.state, ALICE) == 3


def test_it_never_is_above_a_hundred() -> None:
    block = in_epoch(40)
    record = epochs.effective(block.state)
    record.params.validation_params.epochs_to_max = 5
    epochs.put(block.state, record)
    for epoch in range(30, 40):
        served(block, epoch)
    assert reputation(block.state, ALICE) == 100


def test_more_misses_than_are_forgiven_cost_their_share_of_an_epoch() -> None:
    block = in_epoch(40)
    for epoch in range(10, 40):
        served(block, epoch, 99, 1)  # exactly the cutoff of 1 %
    assert reputation(block.state, ALICE) == 100
    for epoch in range(10, 20):
        served(block, epoch, 50, 50)
    assert reputation(block.state, ALICE) == 83
    for epoch in range(10, 40):
        served(block, epoch, 0, 7)
    assert reputation(block.state, ALICE) == 0


def test_w20_misses_without_an_answer_are_a_full_miss_and_nothing_is_none() -> None:
    assert missed_share(EpochPerformanceSummary(missed_requests=1)) == ONE
    assert missed_share(EpochPerformanceSummary()) == 0
    assert missed_share(EpochPerformanceSummary(missed_requests=1, inference_count=3)) == ONE // 4


def test_w20_whoever_is_only_registered_has_none() -> None:
    block = in_epoch(40)
    for epoch in range(10, 40):
        served(block, epoch)
    assert reputation(block.state, key("bob").address) == 0
