"""`cosmos.distribution.v1beta1.Query`, as far as it tells of the community pool. Nothing is delegated, so there is no tax."""

from cosmos.base.v1beta1.coin_pb2 import DecCoin
from cosmos.distribution.v1beta1 import query_pb2
from cosmos.distribution.v1beta1.distribution_pb2 import Params

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.bank.state import COMMUNITY_POOL, balance
from pivot.chain.types import View
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.fixed_point import ONE

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
NONE = "0"
"""A share, in units of 10⁻¹⁸ as decimals travel."""


def _community_pool(view: View, _: query_pb2.QueryCommunityPoolRequest) -> query_pb2.QueryCommunityPoolResponse:
    held = balance(view.state, COMMUNITY_POOL)
    pool = [DecCoin(denom=BASE_DENOM, amount=str(held * ONE))] if held else []
    return query_pb2.QueryCommunityPoolResponse(pool=pool)


def _params(_: View, __: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(
        params=Params(community_tax=NONE, base_proposer_reward=NONE, bonus_proposer_reward=NONE)
    )


QUERIES: list[QueryHandler] = [
    query(SERVICE, "CommunityPool", _community_pool),
    query(SERVICE, "Params", _params),
]
