"""What developers have asked for: one row for each answer, totals that are never summed anew, and all of it pruned."""

from typing import Any

import pytest

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.statistics import genesis, queries, state
from pivot.chain.modules.statistics.invariants import check_totals
from pivot.chain.modules.statistics.queries import QUERIES
from pivot.chain.modules.statistics.state import EPOCHS_KEPT, MINUTES_KEPT, all_answers, note_answered, prune
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus
from tests.chain.chain import GENESIS_TIME, key, plain_block
from tests.chain.requests import add_epoch

NOW = GENESIS_TIME // 10**6
"""Milliseconds."""
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
ANN, BEN = key("ann").address, key("ben").address
BIG, SMALL = "org/big", "org/small"


def in_epoch(index: int) -> Block:
    """A block in this epoch. The preset keeps the records of four."""
    block = plain_block(time=GENESIS_TIME)
    switch(block, index)
    return block


def switch(block: Block, index: int) -> None:
    add_epoch(block, index, 100 * index, {})
    epochs.switch(block, index)


def answer(
    block: Block,
    number: int,
    *,
    developer: str = ANN,
    model: str = BIG,
    time: int = NOW,
    tokens: int = 10,
    cost: int = 100,
) -> None:
    """An inference that was finished at this millisecond."""
    record = Inference(
        inference_id=f"{number:088}",
        requested_by=developer,
        model=model,
        status=InferenceStatus.FINISHED,
        actual_cost=cost,
        end_block_timestamp=time,
    )
    note_answered(block.state, record, tokens)


def ask(block: Block, method: str, **fields: Any) -> Any:
    handler = next(each for each in QUERIES if each.method.name == method)
    return handler.answer(View(block.state, block.chain_id, block.height, block.time), handler.request(**fields))


def numbers(found: Any) -> tuple[int, int, int]:
    return found.ai_tokens, found.inferences, found.actual_inferences_cost


def rows(block: Block) -> list[tuple[bytes, bytes]]:
    prefixes = (state.ANSWERS, state.BY_DEVELOPER, state.BY_MODEL, state.BY_MINUTE)
    return [row for prefix in prefixes for row in block.state.iterate("inference", prefix, prefix + b"\xff")]


# ---- Rows ----


def test_w24_an_answer_is_one_row_and_changes_one_total_of_each_kind() -> None:
    """The published network wrote four rows, again and again, whenever an inference changed."""
    block = in_epoch(3)
    answer(block, 1)
    assert len(rows(block)) == 4
    answer(block, 2)
    assert len(rows(block)) == 5
    ((developer, found), _) = list(all_answers(block.state))
    assert developer == ANN
    assert (found.epoch_id, found.timestamp) == (3, NOW)
    assert found.inference.inference_id == f"{1:088}"
    assert (found.inference.total_token_count, found.inference.actual_cost_in_coins) == (10, 100)
    assert (found.inference.model, found.inference.status) == (BIG, InferenceStatus.FINISHED)


# ---- By developer ----


def test_a_developers_answers_of_a_period_are_told_in_order() -> None:
    block = in_epoch(3)
    for number, time in enumerate((NOW - 5 * SECOND, NOW - 3 * SECOND, NOW - 2 * SECOND, NOW)):
        answer(block, number, time=time)
    answer(block, 9, developer=BEN, time=NOW - 3 * SECOND)
    found = ask(
        block,
        "StatsByTimePeriodByDeveloper",
        developer=ANN,
        time_from=NOW - 3 * SECOND,
        time_to=NOW - SECOND,
    )
    assert [each.timestamp for each in found.stats] == [NOW - 3 * SECOND, NOW - 2 * SECOND]
    assert len(ask(block, "StatsByTimePeriodByDeveloper", developer=BEN).stats) == 1


def test_without_a_period_the_last_day_is_told() -> None:
    block = in_epoch(3)
    answer(block, 1, time=NOW - DAY - 1)
    answer(block, 2, time=NOW - DAY)
    answer(block, 3, time=NOW)
    found = ask(block, "StatsByTimePeriodByDeveloper", developer=ANN).stats
    assert [each.timestamp for each in found] == [NOW - DAY, NOW]


def test_a_period_may_reach_over_several_epochs() -> None:
    block = in_epoch(3)
    answer(block, 1, time=NOW - 9)
    switch(block, 4)
    answer(block, 2, time=NOW - 8)
    found = ask(block, "StatsByTimePeriodByDeveloper", developer=ANN).stats
    assert [each.epoch_id for each in found] == [3, 4]


def test_one_answer_to_a_query_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_ANSWERS_TOLD", 3)
    block = in_epoch(3)
    for number in range(5):
        answer(block, number, time=NOW - 10 + number)
    found = ask(block, "StatsByTimePeriodByDeveloper", developer=ANN).stats
    assert [each.timestamp for each in found] == [NOW - 10, NOW - 9, NOW - 8]


def test_the_last_epochs_of_a_developer_do_not_include_the_running_one() -> None:
    block = in_epoch(2)
    for epoch in (2, 3, 4, 5):
        switch(block, epoch)
        answer(block, epoch, tokens=10 * epoch, cost=epoch)
        answer(block, 100 + epoch, developer=BEN)
    answer(block, 55)
    found = ask(block, "StatsByDeveloperAndEpochsBackwards", developer=ANN, epochs_n=2)
    assert numbers(found) == (70, 2, 7)
    everything = ask(block, "StatsByDeveloperAndEpochsBackwards", developer=ANN, epochs_n=EPOCHS_KEPT)
    assert numbers(everything) == (90, 3, 9)


# ---- Of all ----


def test_the_last_epochs_of_all_developers_are_sums_of_totals() -> None:
    block = in_epoch(2)
    for epoch in (2, 3, 4):
        switch(block, epoch)
        answer(block, epoch, tokens=10, cost=1)
        answer(block, 100 + epoch, developer=BEN, model=SMALL, tokens=5, cost=2)
    assert numbers(ask(block, "InferencesAndTokensStatsByEpochsBackwards", epochs_n=1)) == (15, 2, 3)
    assert numbers(ask(block, "InferencesAndTokensStatsByEpochsBackwards", epochs_n=9)) == (30, 4, 6)


def test_before_the_first_switch_no_epoch_has_ended() -> None:
    block = in_epoch(0)
    answer(block, 1)
    assert numbers(ask(block, "InferencesAndTokensStatsByEpochsBackwards", epochs_n=5)) == (0, 0, 0)


def test_a_period_of_all_developers_is_summed_by_whole_minutes() -> None:
    block = in_epoch(3)
    start = NOW - NOW % MINUTE - 10 * MINUTE
    for number, time in enumerate((start - 1, start, start + 59_999, start + MINUTE)):
        answer(block, number, time=time, model=SMALL if number == 3 else BIG)
    period = {"time_from": start + 30 * SECOND, "time_to": start + 40 * SECOND}
    assert numbers(ask(block, "InferencesAndTokensStatsByTimePeriod", **period)) == (20, 2, 200)
    assert numbers(ask(block, "InferencesAndTokensStatsByTimePeriod")) == (40, 4, 400)
    models = ask(block, "InferencesAndTokensStatsByModels").stats_models
    assert [(each.model, each.ai_tokens, each.inferences) for each in models] == [(BIG, 30, 3), (SMALL, 10, 1)]


def test_the_newest_rows_are_listed_for_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_ANSWERS_DEBUGGED", 3)
    block = in_epoch(2)
    answer(block, 1, time=NOW - 4)
    answer(block, 2, developer=BEN, time=NOW - 3)
    switch(block, 3)
    only = max(ANN, BEN)
    answer(block, 3, developer=only, time=NOW - 2)
    answer(block, 4, developer=only, time=NOW - 1)
    found = ask(block, "DebugStatsDeveloperStats")
    assert sum(len(each.stats) for each in found.stats_by_time) == 3
    assert found.stats_by_time[0].developer == found.stats_by_epoch[0].developer == only
    first = found.stats_by_epoch[0].stats[0]
    assert (first.epoch_id, list(first.inference_ids)) == (3, [f"{4:088}", f"{3:088}"])
    assert found.stats_by_epoch[0].stats[1].epoch_id == 2


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("StatsByTimePeriodByDeveloper", {"developer": ANN, "time_from": 5, "time_to": 4}),
        ("InferencesAndTokensStatsByTimePeriod", {"time_from": -1}),
        ("InferencesAndTokensStatsByTimePeriod", {"time_to": 2**63 - 1}),
        ("InferencesAndTokensStatsByModels", {"time_to": -5}),
        ("InferencesAndTokensStatsByEpochsBackwards", {"epochs_n": 0}),
        ("InferencesAndTokensStatsByEpochsBackwards", {"epochs_n": -1}),
        ("StatsByDeveloperAndEpochsBackwards", {"developer": ANN, "epochs_n": EPOCHS_KEPT + 1}),
    ],
)
def test_what_is_no_period_is_refused(method: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Rejection) as refused:
        ask(in_epoch(3), method, **fields)
    assert refused.value.code == SdkCode.INVALID_REQUEST


@pytest.mark.parametrize("method", ["StatsByTimePeriodByDeveloper", "StatsByDeveloperAndEpochsBackwards"])
def test_what_is_no_address_is_refused(method: str) -> None:
    with pytest.raises(Rejection) as refused:
        ask(in_epoch(3), method, developer="x")
    assert refused.value.code == SdkCode.INVALID_ADDRESS


# ---- Pruning, genesis ----


def test_w24_answers_and_totals_are_pruned_by_schedule() -> None:
    block = in_epoch(1)
    answer(block, 1)
    answer(block, 2)
    switch(block, 4)
    prune(block)
    assert len(rows(block)) == 5
    switch(block, 5)
    prune(block)
    assert list(all_answers(block.state)) == []
    assert len(rows(block)) == 3
    block.time += (MINUTES_KEPT + 2) * MINUTE * 10**6
    prune(block)
    assert len(rows(block)) == 2
    switch(block, EPOCHS_KEPT + 1)
    prune(block)
    assert len(rows(block)) == 2
    switch(block, EPOCHS_KEPT + 2)
    prune(block)
    assert rows(block) == []


def test_w24_a_block_prunes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "TOTALS_PRUNED_PER_BLOCK", 2)
    block = in_epoch(1)
    for number in range(5):
        answer(block, number, model=f"org/{number}")
    switch(block, EPOCHS_KEPT + 9)
    for left in (3, 1, 0):
        prune(block)
        assert len(list(state.totals_between(block.state, state.BY_MODEL, 0, 99))) == left


def test_an_export_loads_into_the_same_rows() -> None:
    block = in_epoch(3)
    answer(block, 1)
    answer(block, 2, developer=BEN, model="a/b/c", cost=0)
    restored = plain_block()
    genesis.load(restored, genesis.export(block.state))
    assert rows(restored) == rows(block)
    empty = plain_block()
    genesis.load(empty, {})
    assert rows(empty) == []


@pytest.mark.parametrize(("kind", "name"), [(state.BY_DEVELOPER, ANN), (state.BY_MODEL, BIG)])
def test_totals_that_are_no_sums_are_noticed(kind: bytes, name: str) -> None:
    block = in_epoch(3)
    for number in range(3):
        answer(block, number)
    for number in range(3, 6):
        answer(block, number, developer=BEN, model=SMALL, cost=2**63 - 1)
    check_totals(block.state)
    state.put_totals(block.state, epochs.epoch_key(kind, 3, name), state.Totals(30, 3, 299))
    with pytest.raises(AssertionError, match="the totals of epoch 3 are"):
        check_totals(block.state)
    switch(block, 4)
    check_totals(block.state)
    state.put_totals(block.state, epochs.epoch_key(kind, 4, name), state.Totals(30, 3, 300))
    with pytest.raises(AssertionError, match=r"its answers give \{\}"):
        check_totals(block.state)
