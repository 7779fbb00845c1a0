"""`cosmos.bank.v1beta1.Query`."""

from cosmos.bank.v1beta1 import query_pb2
from cosmos.bank.v1beta1.bank_pb2 import DenomUnit, Metadata, Params, SendEnabled
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest, PageResponse
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import (
    BALANCE_PREFIX,
    STORE,
    SUPPLY_PREFIX,
    balance,
    balance_prefix,
    spendable,
    supply,
)
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.primitives.addresses import from_bytes
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


def _metadata_by_query_string(
    view: View, request: query_pb2.QueryDenomMetadataByQueryStringRequest
) -> query_pb2.QueryDenomMetadataByQueryStringResponse:
    found = _denom_metadata(view, query_pb2.QueryDenomMetadataRequest(denom=request.denom))
    return query_pb2.QueryDenomMetadataByQueryStringResponse(metadata=found.metadata)


def _denom_owners(view: View, request: query_pb2.QueryDenomOwnersRequest) -> query_pb2.QueryDenomOwnersResponse:
    found, page = _owners(view, request.denom, request.pagination)
    return query_pb2.QueryDenomOwnersResponse(denom_owners=found, pagination=page)


def _denom_owners_by_query(
    view: View, request: query_pb2.QueryDenomOwnersByQueryRequest
) -> query_pb2.QueryDenomOwnersByQueryResponse:
    found, page = _owners(view, request.denom, request.pagination)
    return query_pb2.QueryDenomOwnersByQueryResponse(denom_owners=found, pagination=page)


def _owners(view: View, denom: str, page: PageRequest) -> tuple[list[query_pb2.DenomOwner], PageResponse]:
    if denom != BASE_DENOM:
        return [], PageResponse()

    def item(key: bytes, amount: bytes) -> query_pb2.DenomOwner:
        owner = from_bytes(key[1 : 1 + key[0]])
        return query_pb2.DenomOwner(address=owner, balance=Coin(denom=BASE_DENOM, amount=amount.decode()))

    return list_page(view.state, STORE, BALANCE_PREFIX, page, item)


def _send_enabled(_: View, request: query_pb2.QuerySendEnabledRequest) -> query_pb2.QuerySendEnabledResponse:
    """The one coin can be sent. As in the Cosmos SDK, a coin that follows the default is listed only if it is asked for."""
    asked = BASE_DENOM in request.denoms
    return query_pb2.QuerySendEnabledResponse(
        send_enabled=[SendEnabled(denom=BASE_DENOM, enabled=True)] if asked else [],
        pagination=None if request.denoms else PageResponse(),
    )


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
    query(SERVICE, "DenomMetadataByQueryString", _metadata_by_query_string),
    query(SERVICE, "DenomsMetadata", _denoms_metadata),
    query(SERVICE, "DenomOwners", _denom_owners),
    query(SERVICE, "DenomOwnersByQuery", _denom_owners_by_query),
    query(SERVICE, "SendEnabled", _send_enabled),
]
