"""`cosmos.bank.v1beta1.Query`."""

from cosmos.bank.v1beta1 import query_pb2
from cosmos.bank.v1beta1.bank_pb2 import DenomUnit, Metadata, Params
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest, PageResponse
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import STORE, SUPPLY_PREFIX, balance, balance_prefix, spendable, supply
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.primitives.coins import BASE_DENOM

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
METADATA = Metadata(
    description="The coin of the network",
    denom_units=[
        DenomUnit(denom=BASE_DENOM, exponent=0, aliases=["nanogonka"]),
        DenomUnit(denom="ugonka", exponent=3, aliases=["microgonka"]),
        DenomUnit(denom="mgonka", exponent=6, aliases=["milligonka"]),
        DenomUnit(denom="gonka", exponent=9),
    ],
    base=BASE_DENOM,
    display=BASE_DENOM,
    name="Gonka",
    symbol="GNK",
)


def _balance(view: View, request: query_pb2.QueryBalanceRequest) -> query_pb2.QueryBalanceResponse:
    return query_pb2.QueryBalanceResponse(balance=_held(view, request.address, request.denom))


def _all_balances(view: View, request: query_pb2.QueryAllBalancesRequest) -> query_pb2.QueryAllBalancesResponse:
    coins, page = _coins(view, request.address, request.pagination)
    return query_pb2.QueryAllBalancesResponse(balances=coins, pagination=page)


def _spendable_balances(
    view: View, request: query_pb2.QuerySpendableBalancesRequest
) -> query_pb2.QuerySpendableBalancesResponse:
    check_address("address", request.address)
    free = spendable(view.state, request.address)
    coins = [Coin(denom=BASE_DENOM, amount=str(free))] if free else []
    return query_pb2.QuerySpendableBalancesResponse(balances=coins, pagination=PageResponse(total=len(coins)))


def _spendable_balance_by_denom(
    view: View, request: query_pb2.QuerySpendableBalanceByDenomRequest
) -> query_pb2.QuerySpendableBalanceByDenomResponse:
    check_address("address", request.address)
    free = spendable(view.state, request.address) if request.denom == BASE_DENOM else 0
    return query_pb2.QuerySpendableBalanceByDenomResponse(balance=Coin(denom=request.denom, amount=str(free)))


def _total_supply(view: View, request: query_pb2.QueryTotalSupplyRequest) -> query_pb2.QueryTotalSupplyResponse:
    coins, page = list_page(view.state, STORE, SUPPLY_PREFIX, request.pagination, _coin)
    return query_pb2.QueryTotalSupplyResponse(supply=coins, pagination=page)


def _supply_of(view: View, request: query_pb2.QuerySupplyOfRequest) -> query_pb2.QuerySupplyOfResponse:
    amount = supply(view.state) if request.denom == BASE_DENOM else 0
    return query_pb2.QuerySupplyOfResponse(amount=Coin(denom=request.denom, amount=str(amount)))


def _params(_: View, __: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=Params(default_send_enabled=True))


def _denom_metadata(_: View, request: query_pb2.QueryDenomMetadataRequest) -> query_pb2.QueryDenomMetadataResponse:
    if request.denom != BASE_DENOM:
        raise SdkError(SdkCode.NOT_FOUND, f"client metadata for denom {request.denom[:40]}")
    return query_pb2.QueryDenomMetadataResponse(metadata=METADATA)


def _denoms_metadata(_: View, __: query_pb2.QueryDenomsMetadataRequest) -> query_pb2.QueryDenomsMetadataResponse:
    return query_pb2.QueryDenomsMetadataResponse(metadatas=[METADATA], pagination=PageResponse(total=1))


def _held(view: View, address: str, denom: str) -> Coin:
    check_address("address", address)
    amount = balance(view.state, address) if denom == BASE_DENOM else 0
    return Coin(denom=denom, amount=str(amount))


def _coins(view: View, address: str, page: PageRequest) -> tuple[list[Coin], PageResponse]:
    check_address("address", address)
    return list_page(view.state, STORE, balance_prefix(address), page, _coin)


def _coin(denom: bytes, amount: bytes) -> Coin:
    return Coin(denom=denom.decode(), amount=amount.decode())


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Balance", _balance),
    query(SERVICE, "AllBalances", _all_balances),
    query(SERVICE, "SpendableBalances", _spendable_balances),
    query(SERVICE, "SpendableBalanceByDenom", _spendable_balance_by_denom),
    query(SERVICE, "TotalSupply", _total_supply),
    query(SERVICE, "SupplyOf", _supply_of),
    query(SERVICE, "Params", _params),
    query(SERVICE, "DenomMetadata", _denom_metadata),
    query(SERVICE, "DenomsMetadata", _denoms_metadata),
]
