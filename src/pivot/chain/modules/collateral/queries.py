"""`inference.collateral.Query`: what stands behind whose weight, and what is on its way back."""

from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.collateral.state import (
    COLLATERALS,
    STORE,
    UNBONDINGS,
    collateral,
    split_unbonding_key,
    unbondings,
)
from pivot.chain.modules.params.state import params
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.collateral import query_pb2
from pivot.protocol.generated.inference.collateral.types_pb2 import CollateralBalance, UnbondingCollateral

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=params(view.state).collateral_params)


def _collateral(view: View, request: query_pb2.QueryCollateralRequest) -> query_pb2.QueryCollateralResponse:
    check_address("participant", request.participant)
    return query_pb2.QueryCollateralResponse(amount=_coin(collateral(view.state, request.participant)))


def _all(view: View, request: query_pb2.QueryAllCollateralsRequest) -> query_pb2.QueryAllCollateralsResponse:
    found, page = list_page(
        view.state,
        STORE,
        COLLATERALS,
        request.pagination,
        lambda key, row: published(key[:-1].decode(), int.from_bytes(row)),
    )
    return query_pb2.QueryAllCollateralsResponse(collaterals=found, pagination=page)


def _unbonding(
    view: View, request: query_pb2.QueryUnbondingCollateralRequest
) -> query_pb2.QueryUnbondingCollateralResponse:
    check_address("participant", request.participant)
    return query_pb2.QueryUnbondingCollateralResponse(
        unbondings=[
            published_unbonding(request.participant, epoch, amount)
            for epoch, amount in unbondings(view.state, request.participant)
        ]
    )


def _all_unbondings(
    view: View, request: query_pb2.QueryAllUnbondingCollateralsRequest
) -> query_pb2.QueryAllUnbondingCollateralsResponse:
    found, page = list_page(
        view.state,
        STORE,
        UNBONDINGS,
        request.pagination,
        lambda key, row: published_unbonding(*split_unbonding_key(key), int.from_bytes(row)),
    )
    return query_pb2.QueryAllUnbondingCollateralsResponse(unbondings=found, pagination=page)


def published(address: str, amount: int) -> CollateralBalance:
    """Collateral as clients read it."""
    return CollateralBalance(participant=address, amount=_coin(amount))


def published_unbonding(address: str, epoch: int, amount: int) -> UnbondingCollateral:
    """A withdrawal as clients read it."""
    return UnbondingCollateral(participant=address, amount=_coin(amount), completion_epoch=epoch)


def _coin(amount: int) -> Coin:
    return Coin(denom=BASE_DENOM, amount=str(amount))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(SERVICE, "Collateral", _collateral),
    query(SERVICE, "AllCollaterals", _all),
    query(SERVICE, "UnbondingCollateral", _unbonding),
    query(SERVICE, "AllUnbondingCollaterals", _all_unbondings),
]
