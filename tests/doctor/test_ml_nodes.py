from typing import Any

import pytest

from pivot.doctor import ml_nodes
from pivot.doctor.finding import State
from pivot.protocol.mlnode_api import CallbackTried

CALLBACK = "http://10.0.0.1:9100"


def listed(
    host: str = "10.0.0.5", *, failure: str = "", enabled: bool = True, models: str = "m", node_id: str = "node1"
) -> dict[str, Any]:
    return {
        "node": {"id": node_id, "host": host, "poc_port": 8000, "models": {models: {}} if models else {}},
        "state": {
            "failure_reason": failure,
            "current_status": "INFERENCE",
            "admin_state": {"enabled": enabled, "epoch": 3},
        },
    }


def test_a_host_without_ml_nodes_is_told() -> None:
    assert ml_nodes.ml_nodes_are_registered([]).state is State.WARNING
    assert ml_nodes.ml_nodes_are_registered([listed()]).found == "1 registered"
    assert ml_nodes.ml_nodes_are_registered([listed(enabled=False)]).found == "1 registered, disabled: node1"


def test_a_node_that_fails_is_wrong_with_its_reason() -> None:
    assert ml_nodes.ml_node_works(listed()).state is State.OK
    assert ml_nodes.ml_node_works(listed(models="")).state is State.WARNING
    failing = ml_nodes.ml_node_works(listed(failure="cannot be reached"))
    assert (failing.state, failing.found) == (State.WRONG, "cannot be reached")


def test_what_a_node_has_to_say_of_itself_is_a_warning() -> None:
    item = listed()
    item["state"]["warnings"] = ["GPU 1 is lost."]
    finding = ml_nodes.ml_node_works(item)
    assert (finding.state, finding.found) == (State.WARNING, "GPU 1 is lost.")


@pytest.mark.parametrize(
    ("url", "hosts", "answers", "elsewhere", "state"),
    [
        (CALLBACK, ["10.0.0.5"], True, True, State.OK),
        (CALLBACK, ["10.0.0.5"], False, False, State.WRONG),
        (CALLBACK, ["10.0.0.5"], False, True, State.SKIPPED),
        ("http://127.0.0.1:9100", ["10.0.0.5"], True, False, State.WRONG),
        ("http://localhost:9100", ["127.0.0.1", "gpu.example"], True, False, State.WRONG),
        ("http://127.0.0.1:9100", ["127.0.0.1", "http://localhost", "::1"], True, False, State.OK),
        ("http://127.0.0.1:9100", [], True, False, State.OK),
    ],
)
def test_a_callback_url_that_ml_nodes_cannot_reach_is_wrong(
    url: str, hosts: list[str], answers: bool, elsewhere: bool, state: State
) -> None:
    assert ml_nodes.callback_url_can_be_reached(url, hosts, answers=answers, elsewhere=elsewhere).state is state


@pytest.mark.parametrize(
    ("tried", "state", "told"),
    [
        (CallbackTried(status=401), State.OK, "answers it"),
        (CallbackTried(status=0, error="no route"), State.WRONG, "no route"),
        (CallbackTried(), State.WRONG, "nobody answers"),
        (CallbackTried(status=502), State.WRONG, "a proxy answers 502"),
        ("it is down", State.SKIPPED, "it is down"),
    ],
)
def test_what_an_ml_node_finds_at_the_callback_url(tried: CallbackTried | str, state: State, told: str) -> None:
    finding = ml_nodes.callback_url_answers_ml_node("node1", CALLBACK, tried)
    assert (finding.check, finding.state, told in finding.found) == ("callback url from node1", state, True)


def test_an_ml_nodes_server_tries_the_callback_url() -> None:
    assert ml_nodes.callback_url_answers_from_here("", None).state is State.SKIPPED
    assert ml_nodes.callback_url_answers_from_here(CALLBACK, CallbackTried()).state is State.WRONG
    assert ml_nodes.callback_url_answers_from_here(CALLBACK, CallbackTried(status=401)).state is State.OK
