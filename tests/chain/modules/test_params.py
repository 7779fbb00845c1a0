"""Parameters and the facts that name a chain."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.consensus.v1.query_pb2 import QueryParamsRequest

from pivot.chain.modules.params import genesis
from pivot.chain.modules.params.invariants import check_parameters
from pivot.chain.modules.params.state import (
    block_time,
    chain_id,
    fee_of,
    genesis_hash,
    genesis_only_params,
    params,
    set_params,
    view_of,
)
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.query_pb2 import QueryGenesisOnlyParamsRequest
from pivot.protocol.parameters import InvalidParameters, preset_genesis_only_params, preset_params
from tests.chain.chain import CHAIN_ID, Chain, lone_host, plain_block


def test_parameters_are_read_as_they_were_written() -> None:
    state = plain_block().state
    changed = params(state)
    changed.epoch_params.epoch_length = 777
    assert params(state) == preset_params("test")
    set_params(state, changed)
    assert params(state) == changed


def test_a_genesis_with_parameters_that_contradict_each_other_is_refused() -> None:
    wrong = preset_params("test")
    wrong.epoch_params.epoch_length = 5
    with pytest.raises(InvalidParameters, match="epoch_length"):
        genesis.begin(plain_block(), GenesisState(params=wrong))


@pytest.mark.parametrize(("price", "fee"), [("", 0), ("0", 0), (str(10**18), 7), ("1", 1), (str(10**18 // 2), 4)])
def test_the_fee_is_rounded_up(price: str, fee: int) -> None:
    changed = preset_params("test")
    changed.fee_params.minimum_gas_price_e18 = price
    assert fee_of(plain_block(params=changed).state, 7) == fee


def test_before_the_genesis_there_is_no_name_and_no_time() -> None:
    state = MemoryDatabase(STORES).view()
    assert (chain_id(state), genesis_hash(state), block_time(state)) == ("", b"", 0)


def test_a_view_knows_its_chain_height_and_time() -> None:
    chain = Chain()
    chain.block()
    view = view_of(chain.state)
    assert (view.chain_id, view.height, view.time) == (CHAIN_ID, 2, chain.time)


def test_the_engines_parameters_are_told() -> None:
    answer = Chain().query("cosmos.consensus.v1.Query/Params", QueryParamsRequest())
    assert answer.params.block.max_bytes == 4 * 2**20


def test_what_the_genesis_sets_for_good_is_told() -> None:
    network = lone_host()
    network.genesis_only_params.CopyFrom(preset_genesis_only_params("mainnet"))
    told = Chain(network=network).query("inference.inference.Query/GenesisOnlyParams", QueryGenesisOnlyParamsRequest())
    assert told.params == network.genesis_only_params
    assert (
        not Chain()
        .query("inference.inference.Query/GenesisOnlyParams", QueryGenesisOnlyParamsRequest())
        .params.HasField("max_individual_power_percentage")
    )


def test_a_genesis_with_what_no_network_could_live_with_is_refused() -> None:
    network = lone_host()
    network.genesis_only_params.max_individual_power_percentage.CopyFrom(Decimal(value=2))
    with pytest.raises(InvalidParameters, match="max_individual_power_percentage"):
        genesis.begin(plain_block(), network)


def test_an_export_is_loaded_as_the_same_parameters() -> None:
    network = lone_host()
    network.params.epoch_params.epoch_length = 777
    network.genesis_only_params.CopyFrom(preset_genesis_only_params("mainnet"))
    genesis.begin(before := plain_block(), network)
    genesis.load(after := plain_block(), genesis.export(before.state))
    assert params(after.state) == network.params
    assert genesis_only_params(after.state) == network.genesis_only_params


def test_parameters_that_contradict_each_other_are_noticed() -> None:
    state = plain_block().state
    check_parameters(state)
    changed = params(state)
    changed.epoch_params.epoch_length = 5
    set_params(state, changed)
    with pytest.raises(AssertionError, match=r"the parameters contradict themselves: .*epoch_length"):
        check_parameters(state)
