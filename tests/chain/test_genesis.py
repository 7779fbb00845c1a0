"""A state exported at a height and begun again: the same rows, and the chain goes on."""

import json
from pathlib import Path

from pivot.chain.genesis import export_genesis, load_genesis
from pivot.chain.modules.bank.state import supply
from pivot.chain.modules.params.state import CHAIN_ID_KEY, GENESIS_HASH_KEY, consensus_params
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES, Block, Reader
from pivot.protocol.transactions import NANOSECONDS
from tests.simulation.engine import BlockPlan, Engine
from tests.simulation.operations import WEIGHTS
from tests.simulation.plan import draw
from tests.simulation.run import step
from tests.simulation.stores import on_disk
from tests.simulation.world import CHAIN_ID, World

BLOCKS, OPERATIONS, AFTER = 75, 15, 60
NAMES_OF_THE_CHAIN = {("params", CHAIN_ID_KEY), ("params", GENESIS_HASH_KEY)}

Rows = dict[tuple[str, bytes], bytes]


def rows(state: Reader) -> Rows:
    """All rows but those that name the chain."""
    return {
        (store, key): value
        for store in STORES
        for key, value in state.iterate(store)
        if (store, key) not in NAMES_OF_THE_CHAIN
    }


def go_on(world: World, blocks: int) -> None:
    """Blocks in which everybody does what the simulation has them do."""
    for height in range(world.height, world.height + blocks):
        step(world, draw(height, height, 1, OPERATIONS, WEIGHTS))


def test_an_export_is_loaded_into_the_same_rows_and_exported_again_the_same(tmp_path: Path) -> None:
    world = World(11, on_disk(tmp_path))
    go_on(world, BLOCKS)
    document = json.dumps(export_genesis(world.state))
    block = Block(MemoryDatabase(STORES).begin(), CHAIN_ID, world.height - 1, world.time, b"")
    load_genesis(block, document.encode(), consensus_params(world.state))
    before, after = rows(world.state), rows(block.state)
    different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert different == set()
    assert json.dumps(export_genesis(block.state)) == document


def test_a_chain_that_begins_with_an_export_goes_on(tmp_path: Path) -> None:
    world = World(12, on_disk(tmp_path / "before"))
    go_on(world, BLOCKS)
    coins, height, signing = supply(world.state), world.height, world.engine.sets[world.height + 1]
    document, params = json.dumps(export_genesis(world.state)), consensus_params(world.state)
    world.engine.store.close()
    world.engine = Engine(on_disk(tmp_path / "after"))
    world.engine.init(CHAIN_ID, document.encode(), params, world.time, height)
    assert world.engine.sets[height] == signing
    world.make_block(BlockPlan(height, world.time + NANOSECONDS), [])
    go_on(world, AFTER)
    assert supply(world.state) == coins
    assert world.engine.store.height == height + AFTER
