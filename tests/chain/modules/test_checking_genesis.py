"""Exports: the rows of a network in the middle of its checks, and the same rows again."""

import json
from typing import Any

import pytest

from pivot.chain.modules.disputes import genesis as disputes
from pivot.chain.modules.inferences import genesis as inferences
from pivot.chain.modules.participants import genesis as participants
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.randomness import genesis as randomness
from pivot.chain.modules.status import genesis as status
from pivot.chain.modules.status.state import note_failed
from pivot.chain.modules.validation import genesis as validation
from pivot.chain.store.journal import State
from tests.chain.chain import key, plain_block
from tests.chain.modules.checking import FAILED, PASSED, Checking
from tests.chain.modules.network import Network, node, registration
from tests.chain.modules.test_inferences import deliver
from tests.chain.requests import make_start

MODULES: dict[str, Any] = {
    "inferences": inferences,
    "validation": validation,
    "disputes": disputes,
    "status": status,
    "randomness": randomness,
    "participants": participants,
}
SEGMENT = 7


def rows(state: State, module: Any) -> dict[bytes, bytes]:
    return {
        row: value
        for prefix, _ in module._KINDS.values()
        for row, value in state.iterate("inference", prefix, prefix[:-1] + b"0")
    }


@pytest.fixture(scope="module")
def busy() -> Checking:
    """Open, validated and disputed inferences, reports, votes, a suspended host, revealed elements."""
    network = Checking({"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60})
    ids = [network.answer("alice") for _ in range(3)]
    deliver(network.block, make_start(network.block, body=b"open"))
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {ids[0]: PASSED, ids[1]: FAILED, ids[2]: FAILED})
    network.vote("erin", ids[1], invalid=True)
    network.vote("carol", ids[1], invalid=True)
    network.vote("dave", ids[2], invalid=False)
    for _ in range(5):
        note_failed(network.block, key("carol").address)
    return network


@pytest.mark.parametrize("name", MODULES)
def test_what_is_exported_is_loaded_again_row_by_row(busy: Checking, name: str) -> None:
    module = MODULES[name]
    exported = json.loads(json.dumps(module.export(busy.state)))
    again = plain_block()
    module.load(again, exported)
    assert rows(again.state, module) == rows(busy.state, module)
    assert rows(again.state, module)
    assert module.export(again.state) == exported


def test_keys_and_hardware_of_participants_are_exported() -> None:
    network = Network({"alice": 30, "bob": 20})
    network.declare("alice", node(0))
    network.deliver(registration("alice", consensus="first"))
    network.deliver(registration("alice", consensus="second"))
    again = plain_block()
    participants.load(again, participants.export(network.state))
    assert rows(again.state, participants) == rows(network.state, participants)
    record = require_participant(again.state, key("alice").address)
    assert record == require_participant(network.state, key("alice").address)
    assert all(participants.export(network.state)[name] for name in ("hardware", "retired_consensus_keys"))


def test_rows_that_no_module_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="strange"):
        disputes.load(plain_block(), {"strange": []})
