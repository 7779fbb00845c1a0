"""How votes become weight."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict, PocVote
from pivot.protocol.poc import Electorate, credit, split, vote_hash

VALID, INVALID, ABSTAIN = PocVerdict.POC_VALID, PocVerdict.POC_INVALID, PocVerdict.POC_ABSTAIN


def vote(verdict: PocVerdict, mismatched: int = 0, checked: int = 100) -> PocVote:
    return PocVote(participant="host", checked=checked, mismatched=mismatched, verdict=verdict)


def among(weight: int) -> Electorate:
    """Checkers of a host that has no weight itself; they are everybody."""
    return Electorate(weight, weight, weight)


def test_work_without_a_mismatch_counts_whole() -> None:
    assert credit(1000, 0, among(30), [(10, vote(VALID)), (20, vote(VALID))]) == 1000


def test_the_mismatched_share_is_taken_off_at_the_weighted_median() -> None:
    votes = [(10, vote(VALID, 0)), (15, vote(VALID, 2)), (10, vote(VALID, 50))]
    assert credit(1000, 0, among(35), votes) == 980


def test_one_heavy_liar_cannot_move_the_median_past_half_of_the_weight() -> None:
    votes = [(49, vote(VALID, 100)), (51, vote(VALID, 1))]
    assert credit(1000, 0, among(100), votes) == 990


def test_more_invalid_than_valid_weight_refuses_all() -> None:
    assert credit(1000, 500, among(30), [(10, vote(VALID)), (11, vote(INVALID, 40))]) == 0
    assert credit(1000, 500, among(30), [(10, vote(VALID)), (10, vote(INVALID, 40))]) == 0


@pytest.mark.parametrize(("count", "previous", "weight"), [(1000, 300, 300), (200, 300, 200), (1000, 0, 0)])
def test_w14_without_a_quorum_the_weight_stays_as_far_as_the_count_covers_it(
    count: int, previous: int, weight: int
) -> None:
    assert credit(count, previous, among(31), [(10, vote(VALID))]) == weight
    assert credit(count, previous, among(31), [(20, vote(ABSTAIN)), (10, vote(INVALID, 50))]) == weight
    assert credit(count, previous, among(31), []) == weight


def test_a_third_of_the_weight_is_a_quorum() -> None:
    assert credit(1000, 0, among(30), [(10, vote(VALID))]) == 1000
    assert credit(1000, 500, among(30), [(10, vote(INVALID, 90))]) == 0


VOTES = st.lists(
    st.tuples(
        st.integers(1, 1000),
        st.builds(
            lambda verdict, checked, part: vote(verdict, checked * part // 100, checked),
            st.sampled_from([VALID, INVALID, ABSTAIN]),
            st.integers(1, 200),
            st.integers(0, 100),
        ),
    ),
    max_size=16,
)


@given(
    VOTES,
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.integers(0, 1000),
    st.integers(0, 10_000),
    st.randoms(use_true_random=False),
)
def test_credit_is_the_rule_and_never_exceeds_the_count(
    votes: list[tuple[int, PocVote]], count: int, previous: int, absent: int, own: int, random: object
) -> None:
    total = sum(weight for weight, _ in votes) + absent
    electorate = Electorate(total, total, total + own)
    given_credit = credit(count, previous, electorate, votes)
    valid = [(weight, Fraction(v.mismatched, v.checked)) for weight, v in votes if v.verdict == VALID]
    in_favour = sum(weight for weight, _ in valid)
    against = sum(weight for weight, v in votes if v.verdict == INVALID)
    if in_favour > against and 3 * (in_favour + against) >= total:
        flat = sorted(share for weight, share in valid for _ in range(weight))
        median = flat[(len(flat) - 1) // 2]
        assert given_credit == count - count * median // 1
    elif in_favour <= against and total and 3 * (in_favour + against) >= total + own:
        assert given_credit == 0
    elif total:
        assert given_credit == min(previous, count)
    assert 0 <= given_credit <= count
    random.shuffle(votes)  # type: ignore[attr-defined]
    assert credit(count, previous, electorate, votes) == given_credit


def test_a_lone_tiny_checker_can_neither_take_a_big_hosts_weight_nor_speak_for_a_committee() -> None:
    beside_a_giant = Electorate(checkers=1, others=1, everyone=1001)
    assert credit(5000, 1000, beside_a_giant, [(1, vote(INVALID, 100))]) == 1000
    assert credit(900, 1000, beside_a_giant, [(1, vote(INVALID, 100))]) == 900
    assert credit(5000, 1000, beside_a_giant, [(1, vote(VALID))]) == 5000
    committee = Electorate(checkers=30, others=3000, everyone=4000)
    assert credit(5000, 1000, committee, [(13, vote(INVALID, 100))]) == 1000
    assert credit(5000, 1000, committee, [(14, vote(INVALID, 100))]) == 0


def test_a_vote_hash_binds_network_epoch_checker_votes_and_salt() -> None:
    votes, salt = [vote(VALID)], bytes(32)
    hashes = {
        vote_hash("pivot", 2, "checker", votes, salt),
        vote_hash("other", 2, "checker", votes, salt),
        vote_hash("pivot", 3, "checker", votes, salt),
        vote_hash("pivot", 2, "another", votes, salt),
        vote_hash("pivot", 2, "checker", [vote(INVALID)], salt),
        vote_hash("pivot", 2, "checker", votes * 2, salt),
        vote_hash("pivot", 2, "checker", votes, bytes(31) + b"\x01"),
    }
    assert len(hashes) == 7


@given(st.integers(0, 2**53), st.lists(st.integers(0, 2**40), min_size=1).filter(any))
def test_a_split_is_in_proportion_and_loses_nothing(total: int, shares: list[int]) -> None:
    parts = split(total, shares)
    assert sum(parts) == total
    whole = sum(shares)
    assert parts[1:] == [total * share // whole for share in shares[1:]]
    assert total * shares[0] // whole <= parts[0] < total * shares[0] // whole + len(shares)
