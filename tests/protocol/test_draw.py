"""Weighted draws without replacement."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.hashes import tagged_hash
from pivot.protocol.draw import EXECUTOR_CANDIDATES, Line, checkers, executors, weighted

MEMBERS = st.lists(
    st.tuples(st.text("abcdefgh", min_size=1, max_size=6), st.integers(-2, 2**50)),
    unique_by=lambda member: member[0],
    max_size=30,
)


def plain(members: Sequence[tuple[str, int]], count: int, seed: bytes) -> list[str]:
    """The draw as its definition says it: lay out the line again for every draw."""
    left = sorted(member for member in members if member[1] > 0)
    drawn = []
    for number in range(min(count, len(left))):
        digest = tagged_hash("pivot/draw/1", seed, number.to_bytes(4, "big"))
        point = int.from_bytes(digest) % sum(weight for _, weight in left)
        for member in left:
            if point < member[1]:
                break
            point -= member[1]
        drawn.append(member[0])
        left.remove(member)
    return drawn


@given(MEMBERS, st.integers(0, 40), st.binary(min_size=32, max_size=32))
def test_the_draw_equals_its_definition(members: list[tuple[str, int]], count: int, seed: bytes) -> None:
    assert weighted(members, count, seed) == plain(members, count, seed)


@given(MEMBERS, st.text("abcdefgh", max_size=6), st.integers(0, 40), st.binary(min_size=32, max_size=32))
def test_a_draw_without_one_member_is_the_draw_among_the_others(
    members: list[tuple[str, int]], missing: str, count: int, seed: bytes
) -> None:
    others = [member for member in members if member[0] != missing]
    line = Line(members)
    assert line.draw(count, seed, without=missing) == plain(others, count, seed)
    assert line.addresses(missing) == sorted(address for address, weight in others if weight > 0)
    assert line.others(missing) == len(line.addresses(missing))


@given(MEMBERS, st.integers(0, 40), st.binary(min_size=32, max_size=32), st.randoms(use_true_random=False))
def test_nobody_is_drawn_twice_and_order_of_members_does_not_matter(
    members: list[tuple[str, int]], count: int, seed: bytes, random: object
) -> None:
    drawn = weighted(members, count, seed)
    eligible = {address for address, weight in members if weight > 0}
    assert len(set(drawn)) == len(drawn) == min(count, len(eligible))
    assert set(drawn) <= eligible
    random.shuffle(members)  # type: ignore[attr-defined]
    assert weighted(members, count, seed) == drawn


def test_a_shorter_draw_is_the_beginning_of_a_longer_one() -> None:
    members = [(f"host{i}", i + 1) for i in range(20)]
    assert weighted(members, 3, b"seed") == weighted(members, 20, b"seed")[:3]


def test_members_are_drawn_in_proportion_to_their_weight() -> None:
    members = [("a", 6), ("b", 3), ("c", 1)]
    rounds = 4000
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for number in range(rounds):
        drawn = weighted(members, 2, number.to_bytes(4, "big"))
        first[drawn[0]] += 1
        second[drawn[1]] += 1
    expected_second = {
        "a": Fraction(3, 10) * Fraction(6, 7) + Fraction(1, 10) * Fraction(6, 9),
        "b": Fraction(6, 10) * Fraction(3, 4) + Fraction(1, 10) * Fraction(3, 9),
        "c": Fraction(6, 10) * Fraction(1, 4) + Fraction(3, 10) * Fraction(1, 7),
    }
    for address, weight in members:
        assert abs(first[address] / rounds - weight / 10) < 0.03
        assert abs(second[address] / rounds - expected_second[address]) < 0.03


def test_dust_beside_a_giant_is_drawn_without_searching_for_it() -> None:
    assert sorted(weighted([("giant", 2**60), ("dust", 1)], 2, b"seed")) == ["dust", "giant"]


def test_executors_are_three_or_all_and_follow_from_the_request() -> None:
    members = [(f"host{i}", 10) for i in range(10)]
    one = executors(members, "id-1", bytes(32))
    assert len(one) == EXECUTOR_CANDIDATES
    assert one == executors(members, "id-1", bytes(32))
    assert len({tuple(executors(members, f"id-{i}", bytes(32))) for i in range(20)}) > 10
    assert executors(members, "id-1", bytes(31) + b"\x01") != one
    assert sorted(executors(members[:2], "id-1", bytes(32))) == ["host0", "host1"]
    assert executors([], "id-1", bytes(32)) == []


def test_a_host_is_checked_by_all_others_up_to_a_committee() -> None:
    members = [(f"host{i}", 10 + i) for i in range(8)]
    assert checkers(members, "host3", 2, 16, bytes(32)) == [f"host{i}" for i in range(8) if i != 3]
    assert checkers(members, "newcomer", 2, 16, bytes(32)) == [f"host{i}" for i in range(8)]
    committee = checkers(members, "host3", 2, 3, bytes(32))
    assert len(committee) == 3
    assert "host3" not in committee
    assert committee == sorted(committee)


def test_committees_differ_from_host_to_host_and_epoch_to_epoch() -> None:
    members = [(f"host{i}", 10) for i in range(40)]
    drawn = {tuple(checkers(members, host, epoch, 4, bytes(32))) for host in ("host1", "host2") for epoch in (2, 3)}
    assert len(drawn) == 4


def test_a_host_that_is_alone_checks_itself() -> None:
    assert checkers([("host", 5)], "host", 1, 16, bytes(32)) == ["host"]
