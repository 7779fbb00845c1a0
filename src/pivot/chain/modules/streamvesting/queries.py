"""`inference.streamvesting.Query`: what is still to come."""

from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.params.state import params
from pivot.chain.modules.streamvesting.state import Schedule, schedule
from pivot.chain.types import View
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.streamvesting import query_pb2
from pivot.protocol.generated.inference.streamvesting.types_pb2 import EpochCoins, VestingSchedule

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(params=params(view.state).tokenomics_params)


def _schedule(view: View, request: query_pb2.QueryVestingScheduleRequest) -> query_pb2.QueryVestingScheduleResponse:
    check_address("participant_address", request.participant_address)
    found = schedule(view.state, request.participant_address)
    return query_pb2.QueryVestingScheduleResponse(vesting_schedule=published(request.participant_address, found))


def _total(view: View, request: query_pb2.QueryTotalVestingAmountRequest) -> query_pb2.QueryTotalVestingAmountResponse:
    check_address("participant_address", request.participant_address)
    found = schedule(view.state, request.participant_address)
    return query_pb2.QueryTotalVestingAmountResponse(total_amount=_coins(found.total) if found else [])


def published(address: str, found: Schedule | None) -> VestingSchedule:
    """A schedule as clients read it; one without slots for whoever has none."""
    amounts = found.amounts if found else ()
    return VestingSchedule(
        participant_address=address, epoch_amounts=[EpochCoins(coins=_coins(amount)) for amount in amounts]
    )


def _coins(amount: int) -> list[Coin]:
    return [Coin(denom=BASE_DENOM, amount=str(amount))] if amount else []


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Params", _params),
    query(SERVICE, "VestingSchedule", _schedule),
    query(SERVICE, "TotalVestingAmount", _total),
]
