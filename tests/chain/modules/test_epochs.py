"""The calendar: records of epochs, their parameters, and what is forgotten when."""

import pytest

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.epochs import genesis
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.epochs.invariants import check_calendar
from pivot.chain.modules.epochs.pruning import PRUNED_PER_BLOCK, prune_rows
from pivot.chain.modules.params.state import set_params
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.sprint import sprint_seed
from tests.chain.chain import CHAIN_ID, GENESIS_HASH, plain_block
from tests.chain.modules.network import Network, fast_params


def test_epoch_0_is_there_from_the_genesis_on() -> None:
    network = Network()
    first = epochs.effective(network.state)
    assert epochs.effective_index(network.state) == first.index == 0
    assert epochs.latest(network.state) == first
    assert first.boundaries.next_poc_start == network.params.epoch_params.epoch_shift
    assert first.params == network.params
    assert first.randomness == GENESIS_HASH


def test_without_a_genesis_there_is_no_epoch() -> None:
    with pytest.raises(Rejection, match="no genesis") as refusal:
        epochs.effective(plain_block().state)
    assert refusal.value.code == NetworkCode.CURRENT_EPOCH_NOT_FOUND


def test_the_record_of_an_epoch_is_made_when_its_sprint_begins() -> None:
    network = Network()
    network.advance(9)
    assert not epochs.sprint_begins(network.state, 9)
    assert epochs.epoch(network.state, 1) is None
    network.advance(10)
    made = epochs.epoch(network.state, 1)
    assert made is not None
    assert made == epochs.latest(network.state)
    assert epochs.effective_index(network.state) == 0
    assert made.boundaries == boundaries(network.params.epoch_params, 10)
    assert made.sprint_seed == sprint_seed(CHAIN_ID, 1, network.block.hash, GENESIS_HASH)
    assert (made.poc_start_block_hash, made.created_time) == (network.block.hash, network.block.time)
    assert network.events("poc_started") == [{"epoch_index": "1", "poc_start_block_height": "10"}]


def test_a_sprint_that_is_overdue_begins_once() -> None:
    """A network may begin at a height behind its first sprint (a restart from an export)."""
    network = Network()
    assert epochs.sprint_begins(network.state, 1000)
    network.block.height = 1000
    epochs.begin(network.block, bytes(32))
    assert not epochs.sprint_begins(network.state, 1001)
    assert epochs.latest(network.state).boundaries.poc_start == 1000


def test_epochs_follow_one_another_at_their_boundaries() -> None:
    network = Network()
    network.advance(64)
    assert epochs.effective_index(network.state) == 0
    network.advance(65)
    assert epochs.effective_index(network.state) == 1
    network.advance(130)
    assert (epochs.effective_index(network.state), epochs.latest(network.state).index) == (1, 2)
    network.advance(185)
    assert epochs.effective_index(network.state) == 2


def test_w13_parameters_changed_within_an_epoch_take_force_with_the_next() -> None:
    network = Network()
    network.advance(70)
    shorter = fast_params()
    shorter.epoch_params.epoch_length = 80
    shorter.epoch_params.poc_stage_duration = 10
    set_params(network.state, shorter)
    before = epochs.effective(network.state)
    network.advance(129)
    assert epochs.effective(network.state) == before
    assert before.params == network.params
    network.advance(130)
    made = epochs.latest(network.state)
    assert made.params == shorter
    assert made.boundaries == boundaries(shorter.epoch_params, 130)
    assert made.boundaries.next_poc_start == 210
    network.advance(300)
    assert epochs.effective_index(network.state) == 3


@pytest.mark.parametrize("height", range(66, 260, 7))
def test_w13_at_no_height_can_a_change_of_parameters_stop_the_calendar(height: int) -> None:
    network = Network()
    network.advance(height)
    changed = fast_params()
    changed.epoch_params.epoch_length = 66
    changed.epoch_params.poc_validation_duration = 2
    changed.epoch_params.previous_epoch_grace = 1
    set_params(network.state, changed)
    before = epochs.effective_index(network.state)
    network.advance(height + 330)
    assert epochs.effective_index(network.state) >= before + 3


def test_w24_records_of_old_epochs_are_forgotten() -> None:
    params = fast_params()
    params.epoch_params.inference_pruning_epoch_threshold = 2
    network = Network(params=params)
    network.advance(10 + 120 * 4)
    assert epochs.effective_index(network.state) == 4
    kept = [index for index in range(6) if epochs.epoch(network.state, index) is not None]
    assert kept == [3, 4, 5]


def test_w24_much_is_forgotten_in_portions() -> None:
    network = Network()
    network.advance(10 + 120 * 4 + 60)
    prefix = b"Example/value/"
    for number in range(PRUNED_PER_BLOCK + 3):
        network.state.set("inference", epochs.epoch_key(prefix, 1, f"row{number}"), b"x")
    network.state.set("inference", epochs.epoch_key(prefix, 2), b"x")

    def left() -> int:
        return len(list(network.state.iterate("inference", prefix, b"Example/value0")))

    assert epochs.effective_index(network.state) == 5
    prune_rows(network.block, prefix)
    assert left() == 4
    prune_rows(network.block, prefix)
    assert left() == 1


def test_queries_answer_where_the_calendar_stands() -> None:
    network = Network()
    network.advance(135)
    assert network.query("GetCurrentEpoch", query_pb2.QueryGetCurrentEpochRequest()).epoch == 1
    info = network.query("EpochInfo", query_pb2.QueryEpochInfoRequest())
    assert (info.block_height, info.next_poc_start) == (135, 250)
    assert (info.latest_epoch.index, info.effective_epoch.index) == (2, 1)
    assert info.params == network.params


def test_the_record_of_an_epoch_that_is_over_keeps_its_parameters() -> None:
    network = Network()
    network.advance(135)
    began_with = epochs.epoch(network.state, 1)
    network.params.epoch_params.epoch_length += 1
    told = network.query("EpochRecord", query_pb2.QueryEpochRecordRequest(epoch_index=1)).epoch
    assert told == began_with
    assert told.params.epoch_params.epoch_length == network.params.epoch_params.epoch_length - 1
    with pytest.raises(Rejection, match="there is no record of epoch 9"):
        network.query("EpochRecord", query_pb2.QueryEpochRecordRequest(epoch_index=9))


def test_an_export_loads_into_the_same_rows() -> None:
    network = Network()
    network.sprint({})
    restored = plain_block()
    genesis.load(restored, genesis.export(network.state))
    for prefix in (b"Epoch/", b"EffectiveEpochIndex/"):
        rows = [list(state.iterate("inference", prefix, prefix + b"\xff")) for state in (network.state, restored.state)]
        assert rows[0] == rows[1] != []


def test_an_export_of_the_first_epoch_loads_into_the_same_rows() -> None:
    network = Network()
    restored = plain_block()
    genesis.load(restored, genesis.export(network.state))
    assert genesis.export(restored.state) == genesis.export(network.state)
    assert epochs.effective_index(restored.state) == 0


def test_a_record_whose_heights_are_out_of_order_is_noticed() -> None:
    network = Network()
    network.sprint({})
    check_calendar(network.state)
    broken = epochs.effective(network.state)
    broken.boundaries.poc_validation_end = broken.boundaries.set_new_validators + 1
    epochs.put(network.state, broken)
    with pytest.raises(AssertionError, match="the heights of epoch 1 are out of order"):
        check_calendar(network.state)


def test_a_record_under_another_index_is_noticed() -> None:
    network = Network()
    key = epochs.epoch_key(epochs.EPOCHS, 1)
    network.state.set(epochs.STORE, key, Epoch(index=2).SerializeToString())
    with pytest.raises(AssertionError, match="the record of epoch 2 stands under"):
        check_calendar(network.state)


@pytest.mark.parametrize("poc_start", [1, 10**6])
def test_an_epoch_that_begins_before_its_time_or_leaves_one_out_is_noticed(poc_start: int) -> None:
    network = Network()
    index = 2 if poc_start > 1 else 1
    marks = boundaries(network.params.epoch_params, poc_start)
    epochs.put(network.state, Epoch(index=index, poc_start_block_height=poc_start, boundaries=marks))
    with pytest.raises(AssertionError, match=f"epoch {index} does not follow epoch 0"):
        check_calendar(network.state)


@pytest.mark.parametrize("index", [1, 5])
def test_an_epoch_in_force_without_a_record_is_noticed(index: int) -> None:
    network = Network()
    epochs.put_effective_index(network.state, index)
    with pytest.raises(AssertionError, match=rf"epoch {index} is in force, there are \[0\]"):
        check_calendar(network.state)


def test_a_network_that_has_forgotten_the_epoch_in_force_is_noticed() -> None:
    network = Network()
    network.to_sprint()
    check_calendar(network.state)
    network.state.delete(epochs.STORE, epochs.epoch_key(epochs.EPOCHS, 0))
    with pytest.raises(AssertionError, match=r"epoch 0 is in force, there are \[1\]"):
        check_calendar(network.state)
