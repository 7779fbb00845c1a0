"""`cosmos.slashing.v1beta1.Query`: how validators have signed."""

from cosmos.slashing.v1beta1 import query_pb2
from cosmos.slashing.v1beta1.slashing_pb2 import ValidatorSigningInfo
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.errors import SdkCode, SdkError, SlashingCode, SlashingError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.participants.state import by_consensus_address
from pivot.chain.modules.slashing.state import (
    SIGNING,
    STORE,
    Signing,
    decode_signing,
    missed,
    params,
    rules,
    sentence,
    signing,
)
from pivot.chain.pagination import list_page
from pivot.chain.types import Reader, View
from pivot.primitives.addresses import InvalidAddress, consensus_text, of_consensus_text
from pivot.protocol.transactions import timestamp

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
FOR_EVER = 253_402_300_799
"""Seconds: the end of the year 9999, until which the Cosmos SDK jails whoever has signed twice."""


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=params(view.state))


def _info(view: View, request: query_pb2.QuerySigningInfoRequest) -> query_pb2.QuerySigningInfoResponse:
    try:
        address20 = of_consensus_text(request.cons_address)
    except InvalidAddress as error:
        raise SdkError(SdkCode.INVALID_ADDRESS, f"cons_address: {error}") from None
    found = signing(view.state, address20)
    if found is None and _sentence_until(view.state, address20) == (Timestamp(), False):
        raise SlashingError(
            SlashingCode.NO_SIGNING_INFO, f"{request.cons_address} is not in the engine's set of validators"
        )
    return query_pb2.QuerySigningInfoResponse(
        val_signing_info=published(view.state, address20, found or Signing(view.height), view.height)
    )


def _infos(view: View, request: query_pb2.QuerySigningInfosRequest) -> query_pb2.QuerySigningInfosResponse:
    found, page = list_page(
        view.state,
        STORE,
        SIGNING,
        request.pagination,
        lambda key, row: published(view.state, key, decode_signing(row), view.height),
    )
    return query_pb2.QuerySigningInfosResponse(info=found, pagination=page)


def published(state: Reader, address20: bytes, found: Signing, height: int) -> ValidatorSigningInfo:
    """How a key has signed up to a height, as clients read it."""
    until, for_ever = _sentence_until(state, address20)
    in_window = missed(state, address20, max(height - rules(state).window + 1, 0))
    return ValidatorSigningInfo(
        address=consensus_text(address20),
        start_height=found.since,
        index_offset=max(height - found.since, 0),
        jailed_until=until,
        tombstoned=for_ever,
        missed_blocks_counter=sum(1 for _ in in_window),
    )


def _sentence_until(state: Reader, address20: bytes) -> tuple[Timestamp, bool]:
    """Until when the owner of a key is jailed, and whether for ever. The beginning of time, if it is not."""
    owner = by_consensus_address(state, address20)
    found = None if owner is None else sentence(state, owner)
    if found is None:
        return Timestamp(), False
    return (Timestamp(seconds=FOR_EVER), True) if found.for_ever else (timestamp(found.until), False)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(SERVICE, "SigningInfo", _info),
    query(SERVICE, "SigningInfos", _infos),
]
