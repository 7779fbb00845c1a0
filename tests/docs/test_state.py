"""The table of rows says what the code keeps, and no row can be taken for another's."""

from itertools import permutations

from pivot.chain.types import STORES
from tests.chain.test_genesis import go_on
from tests.docs.pages import prefixes_in_code, prefixes_on_page
from tests.simulation.stores import in_memory
from tests.simulation.world import World

BLOCKS = 40


def test_every_prefix_of_the_code_stands_in_the_table_and_no_other() -> None:
    on_page = prefixes_on_page()
    assert sorted(on_page) == sorted(prefixes_in_code())
    assert {prefix.store for prefix in on_page} == set(STORES)


def test_no_two_kinds_of_rows_share_a_prefix_in_one_store() -> None:
    for one, other in permutations(prefixes_in_code(), 2):
        assert one.store != other.store or not other.start.startswith(one.start), f"{one} begins {other}"


def test_every_row_of_a_chain_at_work_is_of_a_kind_in_the_table() -> None:
    world = World(3, in_memory())
    go_on(world, BLOCKS)
    on_page = prefixes_on_page()
    for store in STORES:
        starts = tuple(prefix.start for prefix in on_page if prefix.store == store)
        for key, _ in world.state.iterate(store):
            assert key.startswith(starts), f"{store}: {key!r}"
