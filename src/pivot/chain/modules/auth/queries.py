"""`cosmos.auth.v1beta1.Query`."""

from cosmos.auth.v1beta1 import query_pb2
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount, ModuleAccount, Params
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.published import shown
from pivot.chain.modules.auth.state import (
    ACCOUNT_PREFIX,
    STORE,
    Account,
    account,
    account_numbered,
    check_address,
    decode_account,
    published_account,
)
from pivot.chain.modules.bank.state import MODULE_ACCOUNTS
from pivot.chain.pagination import list_page
from pivot.chain.signers import MAX_SIGNERS
from pivot.chain.transaction import (
    GAS_PER_BYTE,
    GAS_PER_SIGNATURE,
    MAX_MEMO_CHARACTERS,
)
from pivot.chain.types import View
from pivot.primitives.addresses import ACCOUNT_ADDRESS_LENGTHS, from_bytes, of_module, to_bytes
from pivot.primitives.addresses import ACCOUNT_PREFIX as BECH32_PREFIX
from pivot.protocol.messages import pack

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
MODULES = tuple(sorted(MODULE_ACCOUNTS))
"""Names of the modules that hold coins."""


def _account(view: View, request: query_pb2.QueryAccountRequest) -> query_pb2.QueryAccountResponse:
    return query_pb2.QueryAccountResponse(account=shown(view.state, _require(view, request.address)))


def _account_info(view: View, request: query_pb2.QueryAccountInfoRequest) -> query_pb2.QueryAccountInfoResponse:
    return query_pb2.QueryAccountInfoResponse(info=published_account(_require(view, request.address)))


def _accounts(view: View, request: query_pb2.QueryAccountsRequest) -> query_pb2.QueryAccountsResponse:
    def item(_: bytes, row: bytes) -> AnyMessage:
        return shown(view.state, decode_account(row))

    found, page = list_page(view.state, STORE, ACCOUNT_PREFIX, request.pagination, item)
    return query_pb2.QueryAccountsResponse(accounts=found, pagination=page)


def _module_accounts(view: View, _: query_pb2.QueryModuleAccountsRequest) -> query_pb2.QueryModuleAccountsResponse:
    return query_pb2.QueryModuleAccountsResponse(accounts=[_module(view, name) for name in MODULES])


def _module_account_by_name(
    view: View, request: query_pb2.QueryModuleAccountByNameRequest
) -> query_pb2.QueryModuleAccountByNameResponse:
    if request.name not in MODULES:
        raise SdkError(SdkCode.NOT_FOUND, f"account {request.name[:40]!r} not found")
    return query_pb2.QueryModuleAccountByNameResponse(account=_module(view, request.name))


def _params(_: View, __: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(
        params=Params(
            max_memo_characters=MAX_MEMO_CHARACTERS,
            tx_sig_limit=MAX_SIGNERS,
            tx_size_cost_per_byte=GAS_PER_BYTE,
            sig_verify_cost_secp256k1=GAS_PER_SIGNATURE,
        )
    )


def _bech32_prefix(_: View, __: query_pb2.Bech32PrefixRequest) -> query_pb2.Bech32PrefixResponse:
    return query_pb2.Bech32PrefixResponse(bech32_prefix=BECH32_PREFIX)


def _address_by_id(
    view: View, request: query_pb2.QueryAccountAddressByIDRequest
) -> query_pb2.QueryAccountAddressByIDResponse:
    number = request.account_id or max(0, request.id)  # the older field, which had a sign
    found = account_numbered(view.state, number)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"account address not found with account number {number}")
    return query_pb2.QueryAccountAddressByIDResponse(account_address=found.address)


def _to_string(_: View, request: query_pb2.AddressBytesToStringRequest) -> query_pb2.AddressBytesToStringResponse:
    if len(request.address_bytes) not in ACCOUNT_ADDRESS_LENGTHS:
        raise SdkError(SdkCode.INVALID_ADDRESS, f"address_bytes: {len(request.address_bytes)} bytes are no address")
    return query_pb2.AddressBytesToStringResponse(address_string=from_bytes(request.address_bytes))


def _to_bytes(_: View, request: query_pb2.AddressStringToBytesRequest) -> query_pb2.AddressStringToBytesResponse:
    check_address("address_string", request.address_string)
    return query_pb2.AddressStringToBytesResponse(address_bytes=to_bytes(request.address_string))


def _require(view: View, address: str) -> Account:
    check_address("address", address)
    found = account(view.state, address)
    if found is None:
        raise SdkError(SdkCode.UNKNOWN_ADDRESS, f"account {address} not found")
    return found


def _module(view: View, name: str) -> AnyMessage:
    address = of_module(name)
    found = account(view.state, address)
    base = published_account(found) if found else BaseAccount(address=address)
    return pack(ModuleAccount(base_account=base, name=name))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Account", _account),
    query(SERVICE, "AccountAddressByID", _address_by_id),
    query(SERVICE, "AccountInfo", _account_info),
    query(SERVICE, "Accounts", _accounts),
    query(SERVICE, "ModuleAccounts", _module_accounts),
    query(SERVICE, "ModuleAccountByName", _module_account_by_name),
    query(SERVICE, "Params", _params),
    query(SERVICE, "AddressBytesToString", _to_string),
    query(SERVICE, "AddressStringToBytes", _to_bytes),
    query(SERVICE, "Bech32Prefix", _bech32_prefix),
]
