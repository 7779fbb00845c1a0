"""Who may act for whom, what hardware there is, and how hosts do."""

import base64
from collections.abc import Sequence
from itertools import islice

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address, public_key
from pivot.chain.modules.authz.state import check_message_type, grantees
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import group, weight
from pivot.chain.modules.participants.state import HARDWARE, PARTICIPANTS, STORE, hardware, participant
from pivot.chain.modules.reputation.state import reputation
from pivot.chain.modules.rewards.state import stats, summary
from pivot.chain.pagination import list_page, prefix_end
from pivot.chain.types import View
from pivot.primitives.addresses import OPERATOR_PREFIX, to_bytes
from pivot.primitives.bech32 import encode
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNodes, ValidationWeight

MAX_GRANTEES_TOLD = 1_000
"""In one answer, which the published request cannot ask for in pages."""
SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _hardware(view: View, request: query_pb2.QueryHardwareNodesRequest) -> query_pb2.QueryHardwareNodesResponse:
    return query_pb2.QueryHardwareNodesResponse(nodes=hardware(view.state, request.participant))


def _all_hardware(
    view: View, request: query_pb2.QueryHardwareNodesAllRequest
) -> query_pb2.QueryHardwareNodesAllResponse:
    nodes, page = list_page(
        view.state, STORE, HARDWARE, request.pagination, lambda _, row: HardwareNodes.FromString(row)
    )
    return query_pb2.QueryHardwareNodesAllResponse(nodes=nodes, pagination=page)


def _grantees(
    view: View, request: query_pb2.QueryGranteesByMessageTypeRequest
) -> query_pb2.QueryGranteesByMessageTypeResponse:
    check_address("granter_address", request.granter_address)
    check_message_type(request.message_type_url)
    granted = islice(
        grantees(view.state, request.granter_address, request.message_type_url, view.time), MAX_GRANTEES_TOLD
    )
    return query_pb2.QueryGranteesByMessageTypeResponse(
        grantees=[
            query_pb2.Grantee(
                address=address, pub_key=base64.b64encode(public_key(view.state, address) or b"").decode()
            )
            for address in granted
        ]
    )


def _current_stats(
    view: View, request: query_pb2.QueryGetParticipantCurrentStatsRequest
) -> query_pb2.QueryGetParticipantCurrentStatsResponse:
    """Weight in the running epoch, 0 for who is no member, and reputation."""
    check_address("participantId", request.participantId)
    return query_pb2.QueryGetParticipantCurrentStatsResponse(
        weight=weight(view.state, effective_index(view.state), request.participantId),
        reputation=reputation(view.state, request.participantId),
    )


def _all_current_stats(
    view: View, _: query_pb2.QueryGetAllParticipantCurrentStatsRequest
) -> query_pb2.QueryGetAllParticipantCurrentStatsResponse:
    """The running epoch's members, with the reputation with which they entered it; `epoch_id` is its index (W-26)."""
    running = effective_index(view.state)
    return query_pb2.QueryGetAllParticipantCurrentStatsResponse(
        participant_current_stats=[
            query_pb2.ParticipantCurrentStats(
                participant_id=row.member_address, weight=row.weight, reputation=row.reputation
            )
            for row in _members(view, running)
        ],
        block_height=view.height,
        epoch_id=running,
    )


def _full_stats(
    view: View, _: query_pb2.QueryParticipantsFullStatsRequest
) -> query_pb2.QueryParticipantsFullStatsResponse:
    """The running epoch's members, with what they earn in it and what the last settled one brought them."""
    running = effective_index(view.state)
    return query_pb2.QueryParticipantsFullStatsResponse(
        participants_stats=[_full(view, running, row) for row in _members(view, running)]
    )


def _full(view: View, running: int, row: ValidationWeight) -> query_pb2.ParticipantFullStats:
    address = row.member_address
    settled = summary(view.state, running - 1, address) if running else None
    record = participant(view.state, address)
    return query_pb2.ParticipantFullStats(
        account_address=address,
        operator_address=encode(OPERATOR_PREFIX, to_bytes(address)),
        reputation=row.reputation,
        earned_coins_current_epoch=stats(view.state, address).earned_coins,
        rewarded_coins_latest_epoch=0 if settled is None else settled.rewarded_coins,
        epochs_completed=0 if record is None else record.epochs_completed,
    )


def _members(view: View, epoch: int) -> Sequence[ValidationWeight]:
    found = group(view.state, epoch)
    return () if found is None else found.validation_weights


def _count(view: View, _: query_pb2.QueryCountAllParticipantsRequest) -> query_pb2.QueryCountAllParticipantsResponse:
    """Hosts and consumers together. Costs a walk over all of them."""
    rows = view.state.iterate(STORE, PARTICIPANTS, prefix_end(PARTICIPANTS))
    return query_pb2.QueryCountAllParticipantsResponse(total=sum(1 for _ in rows))


QUERIES: list[QueryHandler] = [
    query(SERVICE, "HardwareNodes", _hardware),
    query(SERVICE, "HardwareNodesAll", _all_hardware),
    query(SERVICE, "GranteesByMessageType", _grantees),
    query(SERVICE, "GetParticipantCurrentStats", _current_stats),
    query(SERVICE, "GetAllParticipantCurrentStats", _all_current_stats),
    query(SERVICE, "GetParticipantsFullStats", _full_stats),
    query(SERVICE, "CountParticipants", _count),
]
