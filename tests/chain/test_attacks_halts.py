"""Attacks that would stop the chain: what the end of a block cannot digest."""

from pivot.chain.modules.disputes.state import disputes
from pivot.chain.modules.disputes.state import prune as prune_disputes
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.lifetime import prune as prune_inferences
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome
from pivot.protocol.parameters import check_params
from tests.chain.modules.checking import FAILED, Checking, checking_params
from tests.chain.modules.network import Network, node

SEGMENT = 7


def test_w24_a_vote_that_outlasts_shorter_epochs_does_not_stop_the_chain() -> None:
    """Members agree on shorter epochs while a long vote is under way: its rows must be there when it lapses."""
    params = checking_params(dispute_duration=120)
    params.epoch_params.inference_pruning_epoch_threshold = 2
    network = Checking(params=params)
    inference_id = network.answer("alice")
    network.after_segment(SEGMENT)
    network.report("bob", SEGMENT, {inference_id: FAILED})
    deadline = network.dispute(inference_id).deadline_height
    shorter = params.epoch_params
    shorter.poc_stage_duration, shorter.poc_exchange_duration, shorter.poc_validation_delay = 2, 2, 2
    shorter.poc_validation_duration, shorter.randomness_freeze, shorter.epoch_length = 2, 2, 20
    shorter.previous_epoch_grace, params.validation_params.dispute_duration = 5, 5
    check_params(params)
    for _ in range(2):
        network.switch()
    assert network.block.height < deadline
    prune_disputes(network.block)
    prune_inferences(network.block)
    assert network.dispute(inference_id).outcome == DisputeOutcome.DISPUTE_OPEN
    network.advance(deadline)
    network.advance(deadline + 1)
    assert network.dispute(inference_id).outcome == DisputeOutcome.DISPUTE_LAPSED
    prune_disputes(network.block)
    assert not list(disputes(network.state))


def test_a_chain_that_goes_on_at_a_much_later_height_still_forms_its_next_epoch() -> None:
    """Whoever starts an export chooses its first height: no height may be the only one in which an epoch can begin."""
    network = Network()
    network.declare("alice", node(0))
    network.to_sprint()
    network.deliver(network.commit_message("alice", {0: 100}))
    network.sprint_votes()
    upcoming = epochs.latest(network.state)
    network.skip_to(upcoming.boundaries.set_new_validators + 7)
    network.advance(network.block.height + 1)
    assert epochs.effective_index(network.state) == upcoming.index
    assert network.weights(upcoming.index) == {"alice": 100}
