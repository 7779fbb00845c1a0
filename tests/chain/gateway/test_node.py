"""What wallets ask of the node itself."""

from cosmos.base.node.v1beta1 import query_pb2

from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.node import NODE, node_methods
from pivot.chain.modules.params.state import set_params
from pivot.chain.types import View
from pivot.protocol.parameters import preset_params
from tests.chain.chain import plain_block
from tests.chain.gateway.conftest import FakeEngine
from tests.chain.gateway.test_blocks import BLOCK, HASH


def test_the_price_of_gas_is_the_chains() -> None:
    block = plain_block()
    view = View(block.state, block.chain_id, block.height)
    (config,) = NODE
    assert config.answer(view, query_pb2.ConfigRequest()).minimum_gas_price == ""
    params = preset_params("test")
    params.fee_params.minimum_gas_price_e18 = str(10**17)
    set_params(block.state, params)
    told = config.answer(view, query_pb2.ConfigRequest())
    assert told.minimum_gas_price == "0.100000000000000000ngonka"
    assert (told.pruning_keep_recent, told.halt_height) == ("1", 0)


async def test_the_status_is_that_of_the_last_block(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    fake.answers["header"] = lambda _: {"header": BLOCK["block"]["header"]}
    (status,) = node_methods(engine)
    told = (await status.answer(query_pb2.StatusRequest(), None)).response
    assert isinstance(told, query_pb2.StatusResponse)
    assert (told.height, told.earliest_store_height) == (5, 5)
    assert told.timestamp.nanos == 123_456_789
    assert told.app_hash == told.validator_hash == bytes.fromhex(HASH)
