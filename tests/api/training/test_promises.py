from pathlib import Path

import pytest

from pivot.api.fleet.interface import Train
from pivot.api.training.promises import PROMISES_FILE, AlreadyPromised, Promises
from pivot.protocol.mlnode_api import TrainStart

START = TrainStart(train_config={"project": "p"}, train_env={"TASK_ID": "7"})


def test_a_node_is_promised_then_trains_then_is_free(tmp_path: Path) -> None:
    promises = Promises(tmp_path)
    promises.make(7, ["b", "a"], until=100)
    assert (promises.nodes_of(7), promises.training_of("a"), promises.trainings()) == (["a", "b"], None, set())
    promises.begin("a", START)
    assert (promises.training_of("a"), promises.trainings()) == (Train(START), {7})
    promises.release(7)
    assert (promises.nodes_of(7), promises.training_of("a")) == ([], None)


def test_promises_hold_through_a_restart(tmp_path: Path) -> None:
    promises = Promises(tmp_path)
    promises.make(7, ["a"], until=100)
    promises.begin("a", START)
    assert Promises(tmp_path).training_of("a") == Train(START)
    assert (tmp_path / PROMISES_FILE).stat().st_mode & 0o077 == 0  # it holds tokens


def test_a_damaged_file_promises_nothing(tmp_path: Path) -> None:
    (tmp_path / PROMISES_FILE).write_text("{")
    assert Promises(tmp_path).trainings() == set()


def test_a_node_is_promised_to_one_task_and_all_or_none(tmp_path: Path) -> None:
    promises = Promises(tmp_path)
    promises.make(7, ["a"], until=100)
    with pytest.raises(AlreadyPromised, match="node 'a' is promised to training task 7"):
        promises.make(8, ["b", "a"], until=100)
    assert promises.nodes_of(8) == []


def test_to_promise_again_does_not_end_what_runs(tmp_path: Path) -> None:
    promises = Promises(tmp_path)
    promises.make(7, ["a"], until=100)
    promises.begin("a", START)
    promises.make(7, ["a"], until=200)
    assert promises.training_of("a") == Train(START)


def test_a_promise_that_nobody_has_claimed_lapses(tmp_path: Path) -> None:
    promises = Promises(tmp_path)
    promises.make(7, ["waits", "trains"], until=100)
    promises.begin("trains", START)
    promises.lapse(99)
    assert promises.nodes_of(7) == ["trains", "waits"]
    promises.lapse(100)
    assert promises.nodes_of(7) == ["trains"]
