from typing import Any

import pytest

from pivot.api.fleet.interface import FleetNode, Generate, Serve, Stop, Train, Validate
from pivot.api.ledger.interface import Head
from pivot.api.phases import Moment
from pivot.api.poc.duties import Assignment, Stage, duty_of, nodes_serving_through, stage_at, told_at
from pivot.protocol.epochs import phase_at
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, MLNodeInfo
from pivot.protocol.mlnode_api import TrainStart
from tests.api.fleet.chain import MODEL, epoch, group

MARKS = epoch(1).boundaries


def moment(height: int, latest: Epoch) -> Moment:
    return Moment(Head(height, 0, b""), latest, Epoch(), phase_at(latest, height), 0, synced=True)


def node(number: int = 1, **fields: Any) -> FleetNode:
    base: dict[str, Any] = {
        "id": f"node{number}",
        "node_number": number,
        "models": {"unknown": (), MODEL: ("--enforce-eager",)},
        "max_concurrent": 1,
        "management_url": "",
        "inference_url": "",
        "enabled": True,
        "reachable": True,
        "duty": None,
        "fulfils": False,
    }
    return FleetNode(**{**base, **fields})


def assignment(stage: Stage, *, serving_through: frozenset[int] = frozenset()) -> Assignment:
    models = {MODEL: ("--max-model-len", "1024")}
    return Assignment(stage, epoch(3), serving_through, models, "gonka1me", "http://me:9100/v1/poc", "token")


@pytest.mark.parametrize(
    ("height", "stage"),
    [
        (MARKS.poc_start - 1, Stage.SERVING),
        (MARKS.poc_start, Stage.SPRINT),
        (MARKS.poc_generation_end - 1, Stage.SPRINT),
        (MARKS.poc_generation_end, Stage.CHECKING),
        (MARKS.poc_validation_end - 1, Stage.CHECKING),
        (MARKS.poc_validation_end, Stage.SERVING),
    ],
)
def test_the_stage_follows_from_the_height(height: int, stage: Stage) -> None:
    assert stage_at(moment(height, epoch(1))) is stage


def test_before_the_first_sprint_nodes_serve() -> None:
    assert stage_at(moment(15, Epoch())) is Stage.SERVING


def test_in_the_sprint_a_node_goes_on_after_its_last_leaf() -> None:
    duty = duty_of(node(4), assignment(Stage.SPRINT), lambda number: number * 100)
    assert isinstance(duty, Generate)
    init = duty.init
    assert (init.node_id, init.epoch, init.first_index, init.block_height) == (4, 3, 400, 10)
    assert (init.host_address, init.url, init.token) == ("gonka1me", "http://me:9100/v1/poc", "token")
    assert (init.preset, init.seed) == ("devnet", bytes([3]) * 32)


def test_a_node_is_told_how_much_of_its_sprint_is_over() -> None:
    duty = duty_of(node(4), assignment(Stage.SPRINT), lambda _: 0)
    told = [told_at(duty, epoch(3), height) for height in (9, MARKS.poc_start, MARKS.poc_start + 7, 10**6)]
    inits = [each.init for each in told if isinstance(each, Generate)]
    length = MARKS.poc_generation_end - MARKS.poc_start
    assert [(init.blocks, init.blocks_late) for init in inits] == [(length, passed) for passed in (0, 0, 7, length)]
    assert told_at(Stop(), epoch(3), 10) == Stop()


def test_after_the_sprint_nodes_check_and_then_serve() -> None:
    duty = duty_of(node(4), assignment(Stage.CHECKING), lambda _: 400)
    assert isinstance(duty, Validate)
    assert duty.init.first_index == 0
    served = duty_of(node(4), assignment(Stage.SERVING), lambda _: 400)
    assert served == Serve(MODEL, ("--max-model-len", "1024", "--enforce-eager"))


@pytest.mark.parametrize("stage", Stage)
def test_a_node_with_the_slot_serves_through_the_sprint(stage: Stage) -> None:
    assert isinstance(duty_of(node(4), assignment(stage, serving_through=frozenset({4})), lambda _: 0), Serve)


def test_a_node_without_a_known_model_rests_but_runs_the_sprint() -> None:
    idle = node(models={"unknown": ()})
    assert duty_of(idle, assignment(Stage.SERVING), lambda _: 0) == Stop()
    assert isinstance(duty_of(idle, assignment(Stage.SPRINT), lambda _: 0), Generate)


def test_a_node_that_is_promised_to_a_training_trains_until_the_sprint() -> None:
    training = Train(TrainStart(train_config={}, train_env={"TASK_ID": "7"}))
    through = frozenset({4})
    assert duty_of(node(4), assignment(Stage.SERVING), lambda _: 0, training) == training
    assert isinstance(duty_of(node(4), assignment(Stage.SPRINT), lambda _: 0, training), Generate)
    assert isinstance(duty_of(node(4), assignment(Stage.SPRINT, serving_through=through), lambda _: 0, training), Serve)
    resting = node(4, enabled=False, changed_in_epoch=2)
    assert duty_of(resting, assignment(Stage.SERVING), lambda _: 0, training) == Stop()


def test_a_disabled_node_keeps_its_duties_until_the_next_sprint() -> None:
    assert isinstance(duty_of(node(enabled=False, changed_in_epoch=3), assignment(Stage.SERVING), lambda _: 0), Serve)
    assert duty_of(node(enabled=False, changed_in_epoch=2), assignment(Stage.SPRINT), lambda _: 0) == Stop()


@pytest.mark.parametrize("stage", [Stage.SPRINT, Stage.CHECKING])
def test_a_node_that_was_enabled_in_the_midst_of_a_sprint_waits_for_its_end(stage: Stage) -> None:
    enabled = node(changed_in_epoch=3)
    assert duty_of(enabled, assignment(stage), lambda _: 0) == Stop()
    assert isinstance(duty_of(enabled, assignment(Stage.SERVING), lambda _: 0), Serve)
    assert duty_of(node(changed_in_epoch=2), assignment(stage), lambda _: 0) != Stop()


def test_slots_are_read_from_the_group_by_member_and_node() -> None:
    nodes = [
        MLNodeInfo(node_number=1, timeslot_allocation=[True, True]),
        MLNodeInfo(node_number=2, timeslot_allocation=[True, False]),
        MLNodeInfo(node_number=3),
    ]
    assert nodes_serving_through(group(2, {"me": nodes, "other": [MLNodeInfo(node_number=9)]}), "me") == {1}
    assert nodes_serving_through(None, "me") == frozenset()
