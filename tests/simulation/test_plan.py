"""Drawing operations, and finding the fewest that fail."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.plan import Operation, draw, shortest

KINDS = {"send": 3, "request": 1}


def test_the_same_seed_draws_the_same_operations() -> None:
    assert draw(7, 2, 5, 10, KINDS) == draw(7, 2, 5, 10, KINDS)
    assert draw(7, 2, 5, 10, KINDS) != draw(8, 2, 5, 10, KINDS)
    assert [each.height for each in draw(7, 2, 5, 10, KINDS)] == sorted([2, 3, 4, 5, 6] * 10)


@given(st.integers(1, 60), st.sets(st.integers(0, 59), min_size=0, max_size=4))
def test_only_the_operations_that_matter_are_left(count: int, culprits: set[int]) -> None:
    operations = [Operation(number, "send", number) for number in range(count)]
    needed = {number for number in culprits if number < count}

    def fails(tried: Sequence[Operation]) -> bool:
        return needed <= {each.seed for each in tried}

    assert {each.seed for each in shortest(operations, fails)} == needed
