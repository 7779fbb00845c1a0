"""Hash chains and the randomness that they fold into."""

import contextlib

import pytest

from pivot.chain.errors import NetworkCode, Rejection
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.randomness import reveal
from pivot.chain.modules.randomness import state as randomness
from pivot.chain.modules.randomness.invariants import check_counted_elements, check_hash_chains
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import HashChain
from pivot.protocol.hash_chain import element, fold, tip
from tests.chain.chain import CHAIN_ID, GENESIS_HASH, key
from tests.chain.modules.network import Network, node, secret

ALICE, BOB = key("alice").address, key("bob").address


@pytest.fixture
def network() -> Network:
    """At the beginning of epoch 1: alice and bob are members with hash chains; carol has committed to none."""
    found = Network({"alice": 30, "bob": 20})
    for name in ("alice", "bob"):
        found.declare(name, node(0))
    found.sprint({"alice": {0: 100}, "bob": {0: 100}})
    return found


def after_segment(network: Network, epoch: int, segment: int) -> None:
    record = epochs.epoch(network.state, epoch)
    assert record is not None
    network.advance(segment_end(record.boundaries, segment) + 1)


def refused(network: Network, message: object, code: NetworkCode, words: str) -> None:
    with pytest.raises(Rejection, match=words) as refusal:
        network.deliver(message)
    assert refusal.value.code == code


def test_a_commit_opens_the_chain_with_its_tip(network: Network) -> None:
    found = randomness.chain(network.state, 1, ALICE)
    assert found is not None
    assert found.last == tip(CHAIN_ID, 1, ALICE, secret("alice"))
    assert found.revealed == 0
    answer = network.query("HashChain", query_pb2.QueryHashChainRequest(epoch_index=1, participant=ALICE))
    assert answer.hash_chain == found
    with pytest.raises(Rejection, match="has no hash chain"):
        network.query("HashChain", query_pb2.QueryHashChainRequest(epoch_index=1, participant="nobody"))


def test_elements_are_revealed_in_order_each_after_its_segment(network: Network) -> None:
    for segment in range(4):
        after_segment(network, 1, segment)
        network.deliver(network.reveal_message("alice", 1, segment))
        found = randomness.chain(network.state, 1, ALICE)
        assert found is not None
        assert (found.revealed, found.last) == (segment + 1, element(CHAIN_ID, 1, ALICE, secret("alice"), segment))


def test_a_host_that_was_away_reveals_what_it_owes_one_by_one(network: Network) -> None:
    after_segment(network, 1, 5)
    refused(network, network.reveal_message("alice", 1, 3), NetworkCode.WRONG_ELEMENT, "element 0 comes before")
    for segment in range(6):
        network.deliver(network.reveal_message("alice", 1, segment))
    refused(network, network.reveal_message("alice", 1, 6), NetworkCode.WRONG_ELEMENT, "when its segment is over")


def test_no_element_before_its_segment_is_over(network: Network) -> None:
    end = segment_end(epochs.effective(network.state).boundaries, 0)
    network.advance(end)
    refused(network, network.reveal_message("alice", 1, 0), NetworkCode.WRONG_ELEMENT, f"after height {end}")
    network.advance(end + 1)
    network.deliver(network.reveal_message("alice", 1, 0))


def test_wrong_and_repeated_elements_are_refused(network: Network) -> None:
    after_segment(network, 1, 1)
    message = network.reveal_message("alice", 1, 0)
    message.element = secret("mallory")
    refused(network, message, NetworkCode.WRONG_ELEMENT, "does not hash to the one before")
    network.deliver(network.reveal_message("alice", 1, 0))
    refused(network, network.reveal_message("alice", 1, 0), NetworkCode.ALREADY_DONE, "revealed already")
    message = network.reveal_message("alice", 1, 1)
    message.segment = SEGMENTS
    refused(network, message, NetworkCode.INVALID_FIELD, "segment")
    message = network.reveal_message("alice", 1, 1)
    message.element += b"\0"
    refused(network, message, NetworkCode.INVALID_FIELD, "32 bytes")


def test_only_members_with_a_chain_reveal_and_only_for_their_epoch() -> None:
    network = Network({"alice": 30, "carol": 10}, hardware={"carol": [node(0), node(1)]})
    after = network.params.epoch_params.epoch_shift + 60
    network.advance(after)  # nobody committed: both carry over
    refused(network, network.reveal_message("bob", 1, 0), NetworkCode.NOT_A_MEMBER, "is not a member of epoch 1")
    refused(network, network.reveal_message("alice", 1, 0), NetworkCode.WRONG_ELEMENT, "committed to no hash chain")
    refused(network, network.reveal_message("alice", 2, 0), NetworkCode.EPOCH_NOT_FOUND, "not for 2")


def test_the_last_element_of_an_epoch_is_taken_in_the_next_one_and_none_after_that(network: Network) -> None:
    after_segment(network, 1, SEGMENTS - 1)
    assert epochs.effective_index(network.state) == 2
    for segment in range(SEGMENTS):
        network.deliver(network.reveal_message("alice", 1, segment))
    found = randomness.chain(network.state, 1, ALICE)
    assert found is not None
    assert found.last == secret("alice")
    network.advance(310)
    refused(network, network.reveal_message("bob", 1, 0), NetworkCode.EPOCH_NOT_FOUND, "not for 1")


def test_the_genesis_seeds_the_first_two_epochs(network: Network) -> None:
    after_segment(network, 1, 3)
    network.deliver(network.reveal_message("alice", 1, 0))
    network.advance(135)
    assert [epochs.epoch(network.state, index).randomness for index in (1, 2)] == [GENESIS_HASH] * 2


def to_epoch_2(network: Network) -> None:
    network.sprint({"alice": {0: 100}, "bob": {0: 100}})
    assert epochs.effective_index(network.state) == 2


def contributor(network: Network, segment: int) -> str:
    """The name of the host whose element of a segment counts, in the epoch that serves."""
    return network.names[reveal.contributor(network.state, epochs.effective(network.state), segment)]


def test_from_epoch_3_on_one_revealed_element_of_each_segment_is_in_the_randomness(network: Network) -> None:
    to_epoch_2(network)
    expected = fold(GENESIS_HASH, b"")
    for segment in range(6):
        after_segment(network, 2, segment)
        chosen = contributor(network, segment)
        for name in ("bob", "alice"):
            network.deliver(network.reveal_message(name, 2, segment))
        assert contributor(network, segment) == chosen
        expected = fold(expected, element(CHAIN_ID, 2, key(chosen).address, secret(chosen), segment))
    network.advance(250)
    assert epochs.latest(network.state).index == 3
    assert epochs.latest(network.state).randomness == expected


def test_d5_a_crowd_of_small_hosts_has_no_choice_of_randomness_at_the_end() -> None:
    """Whoever sees the others' elements first could leave out its own: n hosts would have 2^n outcomes to choose from.

    Only the contributor of the segment that ended last can still change anything.
    """
    crowd = [f"crowd{number}" for number in range(12)]
    names = ["alice", *crowd]
    network = Network(dict.fromkeys(names, 10), hardware={name: [node(0)] for name in names})
    for _ in range(2):
        network.sprint({"alice": {0: 10_000}, **{name: {0: 1} for name in crowd}})
    for segment in range(9):
        after_segment(network, 2, segment)
        network.deliver(network.reveal_message("alice", 2, segment))
    outcomes = set()
    for left_out in (None, *crowd):
        with contextlib.suppress(TimeoutError), network.state.frame():
            for name in crowd:
                for segment in range(9 if name != left_out else 8):
                    network.deliver(network.reveal_message(name, 2, segment))
            randomness.freeze(network.block)
            outcomes.add(randomness.frozen(network.state))
            raise TimeoutError
    assert contributor(network, 8) == "alice"
    assert len(outcomes) == 1


def test_randomness_moves_on_even_if_nobody_reveals(network: Network) -> None:
    to_epoch_2(network)
    network.advance(250)
    assert epochs.latest(network.state).randomness == fold(GENESIS_HASH, b"")


def test_the_order_of_transactions_decides_nothing() -> None:
    values = set()
    for order in (("alice", "bob"), ("bob", "alice")):
        network = Network({"alice": 30, "bob": 20}, hardware={"alice": [node(0)], "bob": [node(0)]})
        network.sprint({"alice": {0: 100}, "bob": {0: 100}})
        to_epoch_2(network)
        after_segment(network, 2, 0)
        for name in order:
            network.deliver(network.reveal_message(name, 2, 0))
        network.advance(250)
        values.add(randomness.frozen(network.state))
    assert len(values) == 1


def test_what_is_revealed_after_the_freeze_does_not_count(network: Network) -> None:
    to_epoch_2(network)
    network.advance(epochs.effective(network.state).boundaries.randomness_freeze + 1)
    value = randomness.frozen(network.state)
    for name in ("alice", "bob"):
        network.deliver(network.reveal_message(name, 2, 0))
    network.advance(250)
    assert epochs.latest(network.state).randomness == randomness.frozen(network.state) == value


def test_elements_that_were_kept_back_cannot_be_chosen_from_at_the_end(network: Network) -> None:
    """Before the freeze a host holds many elements and may reveal as many as it likes: only the latest one can still count."""
    to_epoch_2(network)
    after_segment(network, 2, 9)
    last = contributor(network, 9)
    for segment in range(9):
        network.deliver(network.reveal_message(last, 2, segment))
        randomness.freeze(network.block)
        assert randomness.frozen(network.state) == fold(GENESIS_HASH, b"")
    network.deliver(network.reveal_message(last, 2, 9))
    randomness.freeze(network.block)
    latest = element(CHAIN_ID, 2, key(last).address, secret(last), 9)
    assert randomness.frozen(network.state) == fold(fold(GENESIS_HASH, b""), latest)


def test_w24_hash_chains_of_old_epochs_are_forgotten(network: Network) -> None:
    after_segment(network, 1, 0)
    network.deliver(network.reveal_message(contributor(network, 0), 1, 0))
    counted = epochs.epoch_key(randomness.COUNTED, 1) + b"\0/"
    assert network.state.get(randomness.STORE, counted)
    network.advance(10 + 120 * 5 + 60)
    assert epochs.effective_index(network.state) == 6
    assert randomness.chain(network.state, 1, ALICE) is None
    assert network.state.get(randomness.STORE, counted) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"revealed": SEGMENTS + 1}, "that cannot be"),
        ({"last": b"short"}, "that cannot be"),
        ({"revealed": 2}, "element 1 of .* for epoch 1 does not lead to its tip"),
        ({"last": bytes(32)}, "element 0 of .* for epoch 1 does not lead to its tip"),
    ],
)
def test_a_chain_that_does_not_lead_to_its_tip_is_noticed(
    network: Network, fields: dict[str, object], words: str
) -> None:
    after_segment(network, 1, 0)
    network.deliver(network.reveal_message("alice", 1, 0))
    check_hash_chains(network.state)
    found = randomness.chain(network.state, 1, ALICE)
    assert found is not None
    found.MergeFrom(HashChain(**fields))
    randomness.put_chain(network.state, found)
    with pytest.raises(AssertionError, match=words):
        check_hash_chains(network.state)


@pytest.mark.parametrize(("segment", "element_of_it"), [(SEGMENTS, bytes(32)), (0, b"short")])
def test_an_element_that_cannot_count_is_noticed(network: Network, segment: int, element_of_it: bytes) -> None:
    randomness.count_element(network.state, 1, 1, bytes(32))
    check_counted_elements(network.state)
    randomness.count_element(network.state, 1, segment, element_of_it)
    with pytest.raises(AssertionError, match=f"counts for segment {segment}"):
        check_counted_elements(network.state)
