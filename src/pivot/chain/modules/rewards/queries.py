"""Participants with what they have done in the running epoch, and what the last epochs have brought them."""

import base64

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address, public_key
from pivot.chain.modules.bank.state import balance
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.participants.state import PARTICIPANTS, STORE, require_participant
from pivot.chain.modules.rewards.state import SETTLE_AMOUNTS, SUMMARIES, require_summary, settle_amount, stats
from pivot.chain.modules.rewards.totals import tokenomics
from pivot.chain.pagination import list_page
from pivot.chain.types import Reader, View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllParticipantRequest,
    QueryAllParticipantResponse,
    QueryGetEpochPerformanceSummaryRequest,
    QueryGetEpochPerformanceSummaryResponse,
    QueryGetParticipantRequest,
    QueryGetParticipantResponse,
    QueryGetSettleAmountRequest,
    QueryGetSettleAmountResponse,
    QueryInferenceParticipantRequest,
    QueryInferenceParticipantResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import EpochPerformanceSummary, Participant, SettleAmount


def _participant(view: View, request: QueryGetParticipantRequest) -> QueryGetParticipantResponse:
    check_address("index", request.index)
    return QueryGetParticipantResponse(participant=_shown(view.state, require_participant(view.state, request.index)))


def _all_participants(view: View, request: QueryAllParticipantRequest) -> QueryAllParticipantResponse:
    found, page = list_page(
        view.state,
        STORE,
        PARTICIPANTS,
        request.pagination,
        lambda _, row: _shown(view.state, Participant.FromString(row)),
    )
    return QueryAllParticipantResponse(participant=found, pagination=page, block_height=view.height)


def _shown(reader: Reader, record: Participant) -> Participant:
    """The record as published: with the running epoch's statistics, the coins earned in it, and what the account holds."""
    done = stats(reader, record.address)
    record.current_epoch_stats.CopyFrom(done)
    record.coin_balance = done.earned_coins
    record.balance = balance(reader, record.address)
    return record


def _inference_participant(view: View, request: QueryInferenceParticipantRequest) -> QueryInferenceParticipantResponse:
    """The key and the balance of any account, a developer's say: it need not be registered."""
    check_address("address", request.address)
    key = public_key(view.state, request.address) or b""
    held = balance(view.state, request.address)
    return QueryInferenceParticipantResponse(pubkey=base64.b64encode(key).decode(), balance=held)


def _settle_amount(view: View, request: QueryGetSettleAmountRequest) -> QueryGetSettleAmountResponse:
    check_address("participant", request.participant)
    claimable = effective_index(view.state) - 1
    found = settle_amount(view.state, claimable, request.participant) if claimable >= 0 else None
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"{request.participant} has nothing to claim in epoch {claimable}")
    return QueryGetSettleAmountResponse(settle_amount=found)


def _summary(view: View, request: QueryGetEpochPerformanceSummaryRequest) -> QueryGetEpochPerformanceSummaryResponse:
    check_address("participantId", request.participantId)
    found = require_summary(view.state, request.epoch_index, request.participantId)
    return QueryGetEpochPerformanceSummaryResponse(epochPerformanceSummary=found)


def _all_settle_amounts(
    view: View, request: query_pb2.QueryAllSettleAmountRequest
) -> query_pb2.QueryAllSettleAmountResponse:
    """What hosts may claim, and what is about to be collected because it is too late."""
    found, page = list_page(
        view.state, STORE, SETTLE_AMOUNTS, request.pagination, lambda _, row: SettleAmount.FromString(row)
    )
    return query_pb2.QueryAllSettleAmountResponse(settle_amount=found, pagination=page)


def _all_summaries(
    view: View, request: query_pb2.QueryAllEpochPerformanceSummaryRequest
) -> query_pb2.QueryAllEpochPerformanceSummaryResponse:
    """By epoch and host."""
    found, page = list_page(
        view.state, STORE, SUMMARIES, request.pagination, lambda _, row: EpochPerformanceSummary.FromString(row)
    )
    return query_pb2.QueryAllEpochPerformanceSummaryResponse(epochPerformanceSummary=found, pagination=page)


def _tokenomics(view: View, _: query_pb2.QueryGetTokenomicsDataRequest) -> query_pb2.QueryGetTokenomicsDataResponse:
    return query_pb2.QueryGetTokenomicsDataResponse(tokenomics_data=tokenomics(view.state))


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [
    query(_SERVICE, "Participant", _participant),
    query(_SERVICE, "ParticipantAll", _all_participants),
    query(_SERVICE, "InferenceParticipant", _inference_participant),
    query(_SERVICE, "SettleAmount", _settle_amount),
    query(_SERVICE, "SettleAmountAll", _all_settle_amounts),
    query(_SERVICE, "EpochPerformanceSummary", _summary),
    query(_SERVICE, "EpochPerformanceSummaryAll", _all_summaries),
    query(_SERVICE, "TokenomicsData", _tokenomics),
]
