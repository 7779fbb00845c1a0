"""Attacks on and by checks of answers."""

import pytest

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome, InferenceStatus
from tests.chain.modules.checking import COST, FAILED, PASSED, Checking, checking_params
from tests.chain.modules.test_validation import SEGMENT, settled


def test_a35_a_check_that_a_restart_has_lost_does_not_cost_an_epochs_pay() -> None:
    """One missing report had the whole claim refused; a share of them may be missing, and late ones are taken."""
    params = checking_params(missing_duties_allowed=Decimal(value=1, exponent=-2))
    network = Checking(params=params)
    ids = [network.answer("alice") for _ in range(4)]
    network.switch()
    settled(network, "bob")
    network.report("bob", SEGMENT, dict.fromkeys(ids[:3], PASSED))
    with pytest.raises(NetworkError, match="1 of 4 duties") as refused:
        network.claim("bob")
    assert refused.value.code == NetworkCode.DUTIES_MISSING
    network.report("bob", SEGMENT, {ids[3]: PASSED})
    assert network.claim("bob") > 0


def test_a36_the_accused_does_not_judge_its_own_answer() -> None:
    """Executors checked themselves again, and their votes counted."""
    network = Checking({"alice": 100, "bob": 60, "carol": 40})
    inference_id = network.answer("alice", completion_token_count=30)
    network.after_segment(SEGMENT)
    assert network.report("alice", SEGMENT, {inference_id: PASSED})[0].code == NetworkCode.NOT_DRAWN
    assert network.report("bob", SEGMENT, {inference_id: FAILED})[0].code == 0
    assert network.vote("alice", inference_id, invalid=False).code == NetworkCode.NOT_A_MEMBER
    assert network.record(inference_id).status == InferenceStatus.VOTING
    assert network.vote("carol", inference_id, invalid=True).code == 0
    assert network.dispute(inference_id).outcome == DisputeOutcome.DISPUTE_INVALID
    assert network.earned().get("alice", 0) < COST
