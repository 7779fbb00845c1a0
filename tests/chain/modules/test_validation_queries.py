"""What checkers ask the chain."""

import pytest

from pivot.chain.errors import NetworkCode, NetworkError, SdkError
from pivot.chain.modules.members.queries import QUERIES as MEMBERS_QUERIES
from pivot.chain.modules.validation.queries import MAX_IDS, QUERIES
from pivot.protocol.epochs import SEGMENTS
from tests.chain.chain import key
from tests.chain.modules.checking import PASSED, Checking
from tests.chain.requests import EPOCH

SEGMENT = 7
ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
_ANSWERS = {handler.method.name: handler.answer for handler in (*QUERIES, *MEMBERS_QUERIES)}


def ask(network: Checking, method: str, **fields: object):
    handler = next(each for each in (*QUERIES, *MEMBERS_QUERIES) if each.method.name == method)
    return handler.answer(network.view, handler.request(**fields))


@pytest.fixture
def network() -> Checking:
    """Three answers in segment 7 and one in segment 8; bob has reported on the first three."""
    found = Checking()
    found.ids = [found.answer("alice") for _ in range(3)]
    found.after_segment(SEGMENT)
    found.report("bob", SEGMENT, dict.fromkeys(found.ids, PASSED))
    found.later = found.answer("bob")
    return found


def test_reports_are_told_by_host_and_epoch(network: Checking) -> None:
    found = ask(network, "EpochGroupValidations", participant=BOB, epoch_index=EPOCH).epoch_group_validations
    assert (found.participant, found.epoch_index) == (BOB, EPOCH)
    assert list(found.validated_inferences) == sorted(network.ids)
    none = ask(network, "EpochGroupValidations", participant=CAROL, epoch_index=EPOCH).epoch_group_validations
    assert list(none.validated_inferences) == []
    with pytest.raises(SdkError, match="participant"):
        ask(network, "EpochGroupValidations", participant="x", epoch_index=EPOCH)
    network.reveal("carol", SEGMENT)
    everybody = ask(network, "EpochGroupValidationsAll").epoch_group_validations
    assert {each.participant: len(each.validated_inferences) for each in everybody} == {BOB: 3, CAROL: 0}


def test_details_are_told_by_epoch_and_id(network: Checking) -> None:
    found = ask(network, "InferenceValidationDetails", epochId=EPOCH, inferenceId=network.later)
    assert found.inferenceValidationDetails.segment == SEGMENT + 1
    for epoch, inference_id in ((2, network.later), (EPOCH, "x")):
        with pytest.raises(NetworkError) as refusal:
            ask(network, "InferenceValidationDetails", epochId=epoch, inferenceId=inference_id)
        assert refusal.value.code == NetworkCode.INFERENCE_NOT_FOUND


def test_details_of_a_segment_come_in_the_order_of_the_draw(network: Checking) -> None:
    def ids(**fields: object) -> list[str]:
        answer = ask(network, "InferenceValidationDetailsAll", **fields)
        return [each.inference_id for each in answer.inferenceValidationDetails]

    assert ids(epoch_index=EPOCH, segment=SEGMENT) == sorted(network.ids)
    assert ids(epoch_index=EPOCH, segment=0) == []
    assert ids(epoch_index=EPOCH) == [*sorted(network.ids), network.later]
    assert ids() == [*sorted(network.ids), network.later]
    assert ids(epoch_index=2) == []
    with pytest.raises(NetworkError, match="segment must be"):
        ids(epoch_index=EPOCH, segment=SEGMENTS)


def test_w26_parameters_and_details_are_told_for_ids(network: Checking) -> None:
    found = ask(network, "GetInferenceValidationParameters", ids=[network.later, "unknown"], requester=BOB)
    assert (found.validator_power, found.current_height) == (60, network.block.height)
    assert [each.inference_id for each in found.details] == [network.later]
    assert found.parameters == network.params.validation_params
    with pytest.raises(NetworkError, match="at most"):
        ask(network, "GetInferenceValidationParameters", ids=["x"] * (MAX_IDS + 1), requester=BOB)
    network.state.set("inference", b"EffectiveEpochIndex/value/", bytes(8))
    nothing = ask(network, "GetInferenceValidationParameters", ids=["x"], requester=BOB)
    assert (nothing.validator_power, len(nothing.details)) == (0, 0)


def test_the_minimum_average_is_told_as_a_decimal(network: Checking) -> None:
    found = ask(network, "GetMinimumValidationAverage")
    assert (found.traffic_basis, found.minimum_validation_average) == (4, "100")
    assert found.block_height == network.block.height


def test_duties_are_told(network: Checking) -> None:
    found = ask(network, "CheckerDuties", epoch_index=EPOCH, participant=BOB).duties
    assert (found.due, found.done) == (3, 3)


def test_a_group_is_told_with_the_answers_of_two_epochs(network: Checking) -> None:
    found = ask(network, "EpochGroupData", epoch_index=EPOCH).epoch_group_data
    assert (found.number_of_requests, found.previous_epoch_requests) == (4, 0)
    assert (
        ask(network, "EpochGroupData", epoch_index=EPOCH, model_id="org/model").epoch_group_data.number_of_requests == 0
    )
    network.switch()
    current = ask(network, "CurrentEpochGroupData").epoch_group_data
    assert (current.number_of_requests, current.previous_epoch_requests) == (0, 4)
