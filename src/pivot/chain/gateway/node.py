"""`cosmos.base.node.v1beta1.Service`: what wallets ask of the node itself."""

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.base.node.v1beta1 import query_pb2
from tendermint.types.types_pb2 import Header

from pivot.chain.gateway.blocks import engine_message
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method, engine_methods
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.params.state import fee_params
from pivot.chain.types import View
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.decimals import sdk_text

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Service"]
KEPT = "1"
"""Heights whose state can be asked for: the last one."""


def node_methods(engine: Engine) -> list[Method]:
    """The methods that the engine answers."""

    async def status(_: query_pb2.StatusRequest) -> query_pb2.StatusResponse:
        header = engine_message((await engine.call("header"))["header"], Header())
        return query_pb2.StatusResponse(
            earliest_store_height=header.height,
            height=header.height,
            timestamp=header.time,
            app_hash=header.app_hash,
            validator_hash=header.next_validators_hash,
        )

    return engine_methods(SERVICE, {"Status": status})


def _config(view: View, _: query_pb2.ConfigRequest) -> query_pb2.ConfigResponse:
    """The price of gas is the chain's own, the same at every node; empty if there is none."""
    price = int(fee_params(view.state).minimum_gas_price_e18 or "0")
    return query_pb2.ConfigResponse(
        minimum_gas_price=f"{sdk_text(price)}{BASE_DENOM}" if price else "",
        pruning_keep_recent=KEPT,
        pruning_interval=KEPT,
    )


NODE: list[QueryHandler] = [query(SERVICE, "Config", _config)]
"""Those that follow from the state."""
