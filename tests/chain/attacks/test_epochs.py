"""Attacks on the calendar, on randomness, and on an epoch in which nobody's work counts."""

import pytest

from pivot.chain.block import begin_block
from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.bank.state import REWARDS
from pivot.chain.modules.epochs.state import effective, latest
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.poc import tally
from pivot.chain.modules.randomness import state as randomness
from pivot.chain.modules.randomness.reveal import contributor
from pivot.chain.types import Block
from pivot.primitives.hashes import sha256
from pivot.protocol.epochs import boundaries, segment_end
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards, MsgUpdateParams
from pivot.protocol.hash_chain import fold
from pivot.protocol.parameters import preset_params
from tests.chain.chain import BLOCK_INTERVAL, CHAIN_ID, events_of, key
from tests.chain.modules.governance import AUTHORITY, Parliament
from tests.chain.modules.network import Network, fast_params, node
from tests.chain.test_block import HOSTS, REWARDS_SUPPLY, declare, must, new_chain, sprint


def test_d4_no_vote_moves_a_boundary_that_stands_in_a_record() -> None:
    """A vote that shortened the epoch under way stopped the existing network for good (W-13)."""
    chain = Parliament()
    chain.advance(70)
    before = effective(chain.state)
    shorter = preset_params("test")
    shorter.epoch_params.epoch_length = 80
    shorter.epoch_params.poc_stage_duration = 10
    assert chain.pass_(MsgUpdateParams(authority=AUTHORITY, params=shorter)).failed_reason == ""
    assert effective(chain.state) == before
    assert before.boundaries == boundaries(before.params.epoch_params, before.boundaries.poc_start)
    chain.advance(before.boundaries.next_poc_start)
    made = latest(chain.state)
    assert made.boundaries == boundaries(shorter.epoch_params, before.boundaries.next_poc_start)
    chain.advance(made.boundaries.next_poc_start)
    assert latest(chain.state).index == made.index + 1


def test_d4_checks_that_would_begin_while_commits_come_in_cannot_be_voted_for() -> None:
    chain = Parliament()
    overlapping = preset_params("test")
    overlapping.epoch_params.poc_validation_delay = overlapping.epoch_params.poc_exchange_duration - 1
    refused = chain.submit(MsgUpdateParams(authority=AUTHORITY, params=overlapping))
    assert (refused.codespace, refused.code) == ("inference", NetworkCode.INVALID_FIELD)
    assert "poc_validation_delay must not be below poc_exchange_duration" in refused.log


def committed_network() -> Network:
    """Eight hosts with committees of three, of whom two have a chain in epoch 2."""
    params = fast_params()
    params.poc_params.committee_size = 3
    hosts = {f"host{number}": 10 + number for number in range(8)}
    network = Network(hosts, params=params, hardware={name: [node(0)] for name in hosts})
    for _ in range(2):
        network.sprint({name: {0: 50} for name in hosts})
    return network


def begun_with(block_hash: bytes) -> Network:
    """The network when the sprint of epoch 3 has begun in a block with this hash."""
    network = committed_network()
    height = effective(network.state).boundaries.next_poc_start
    network.advance(height - 1)
    network._end()
    network.block = Block(network.state, CHAIN_ID, height, network.block.time + BLOCK_INTERVAL, block_hash)
    begin_block(network.block)
    return network


def test_d5_a_block_hash_decides_the_sprints_seed_and_no_draw() -> None:
    """A proposer may try as many blocks as it likes: who checks whom was fixed before."""
    seeds, draws = set(), set()
    for number in range(3):
        network = begun_with(sha256(bytes([number])))
        upcoming = latest(network.state)
        seeds.add(upcoming.sprint_seed)
        draws.add((upcoming.randomness, *tally.checkers(network.state, upcoming, key("host0").address)))
    assert (len(seeds), len(draws)) == (3, 1)


def test_d5_whoever_keeps_elements_back_has_nothing_to_choose_from_when_it_counts() -> None:
    """Of a segment one host's element counts, if it comes in time: not a crowd's, nor one that comes late or after the freeze."""
    network = committed_network()
    serving = effective(network.state)
    network.advance(segment_end(serving.boundaries, 5) + 1)
    for name in network.names.values():
        for segment in range(5):
            network.deliver(network.reveal_message(name, serving.index, segment))
    late = folded(network)
    drawn = network.names[contributor(network.state, serving, 5)]
    for name in network.names.values():
        if name != drawn:
            network.deliver(network.reveal_message(name, serving.index, 5))
    assert folded(network) == late == fold(serving.randomness, b"")
    network.deliver(network.reveal_message(drawn, serving.index, 5))
    assert folded(network) != late
    network.advance(serving.boundaries.randomness_freeze + 1)
    fixed = randomness.frozen(network.state)
    for segment in range(6, 11):
        network.deliver(network.reveal_message(drawn, serving.index, segment))
    assert randomness.frozen(network.state) == fixed


def folded(network: Network) -> bytes:
    """The next epoch's randomness, if it were fixed now."""
    randomness.freeze(network.block)
    return randomness.frozen(network.state)


def test_d5_an_element_before_its_segments_end_is_refused() -> None:
    network = committed_network()
    serving = effective(network.state)
    network.advance(segment_end(serving.boundaries, 0))
    with pytest.raises(Rejection, match="may be revealed after height") as refused:
        network.deliver(network.reveal_message("host0", serving.index, 0))
    assert refused.value.code == NetworkCode.WRONG_ELEMENT


def test_d6_an_epoch_in_which_nobodys_work_counts_has_members_and_no_reward() -> None:
    """Without members nobody could ever check a sprint again (W-14); with a reward, sleeping together would pay."""
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 60})
    chain.advance(effective(chain.state).boundaries.next_poc_start)
    chain.advance(latest(chain.state).boundaries.poc_validation_end)
    (formed,) = events_of(chain.last, "epoch_formed")
    assert formed["carried_over"] == "true"
    chain.advance(latest(chain.state).boundaries.set_new_validators + 1)
    assert dict(weights(chain.state, 2)) == {key(name).address: 30 for name in HOSTS}
    for name in HOSTS:
        must(chain, name, MsgClaimRewards(creator=key(name).address, epoch_index=1))
    paid = chain.balance(REWARDS)
    assert paid < REWARDS_SUPPLY
    sprint(chain, {"alice": 60, "bob": 60})
    chain.block()
    assert chain.balance(REWARDS) == paid
    for name in HOSTS:
        refused = chain.deliver(key(name), MsgClaimRewards(creator=key(name).address, epoch_index=2))
        assert (refused.codespace, refused.code) == ("inference", NetworkCode.NOTHING_TO_CLAIM)
    assert dict(weights(chain.state, 3)) == {key(name).address: 60 for name in HOSTS}
