"""`cosmos.distribution.v1beta1.Query`, as far as it speaks of delegations: wallets ask for rewards when they start.

Nobody delegates, so nobody has any; what hosts earn is claimed (docs/protocol/epochs.md, Settlement).
"""

from cosmos.distribution.v1beta1 import query_pb2
from cosmos.distribution.v1beta1.distribution_pb2 import ValidatorAccumulatedCommission, ValidatorOutstandingRewards

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.staking.queries import require_validator
from pivot.chain.types import View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _of_delegation(
    view: View, request: query_pb2.QueryDelegationRewardsRequest
) -> query_pb2.QueryDelegationRewardsResponse:
    check_address("delegator_address", request.delegator_address)
    require_validator(view.state, request.validator_address, "validator_address")
    return query_pb2.QueryDelegationRewardsResponse()


def _of_delegator(
    _: View, request: query_pb2.QueryDelegationTotalRewardsRequest
) -> query_pb2.QueryDelegationTotalRewardsResponse:
    check_address("delegator_address", request.delegator_address)
    return query_pb2.QueryDelegationTotalRewardsResponse()


def _validators(
    _: View, request: query_pb2.QueryDelegatorValidatorsRequest
) -> query_pb2.QueryDelegatorValidatorsResponse:
    check_address("delegator_address", request.delegator_address)
    return query_pb2.QueryDelegatorValidatorsResponse()


def _withdraw_address(
    _: View, request: query_pb2.QueryDelegatorWithdrawAddressRequest
) -> query_pb2.QueryDelegatorWithdrawAddressResponse:
    check_address("delegator_address", request.delegator_address)
    return query_pb2.QueryDelegatorWithdrawAddressResponse(withdraw_address=request.delegator_address)


def _outstanding(
    view: View, request: query_pb2.QueryValidatorOutstandingRewardsRequest
) -> query_pb2.QueryValidatorOutstandingRewardsResponse:
    require_validator(view.state, request.validator_address, "validator_address")
    return query_pb2.QueryValidatorOutstandingRewardsResponse(rewards=ValidatorOutstandingRewards())


def _commission(
    view: View, request: query_pb2.QueryValidatorCommissionRequest
) -> query_pb2.QueryValidatorCommissionResponse:
    require_validator(view.state, request.validator_address, "validator_address")
    return query_pb2.QueryValidatorCommissionResponse(commission=ValidatorAccumulatedCommission())


def _of_validator(
    view: View, request: query_pb2.QueryValidatorDistributionInfoRequest
) -> query_pb2.QueryValidatorDistributionInfoResponse:
    require_validator(view.state, request.validator_address, "validator_address")
    return query_pb2.QueryValidatorDistributionInfoResponse(operator_address=request.validator_address)


def _slashes(view: View, request: query_pb2.QueryValidatorSlashesRequest) -> query_pb2.QueryValidatorSlashesResponse:
    """None that would concern a delegator; what a host has lost is told by the events of its slash."""
    require_validator(view.state, request.validator_address, "validator_address")
    return query_pb2.QueryValidatorSlashesResponse(pagination={})


QUERIES: list[QueryHandler] = [
    query(SERVICE, "DelegationRewards", _of_delegation),
    query(SERVICE, "DelegationTotalRewards", _of_delegator),
    query(SERVICE, "DelegatorValidators", _validators),
    query(SERVICE, "DelegatorWithdrawAddress", _withdraw_address),
    query(SERVICE, "ValidatorOutstandingRewards", _outstanding),
    query(SERVICE, "ValidatorCommission", _commission),
    query(SERVICE, "ValidatorDistributionInfo", _of_validator),
    query(SERVICE, "ValidatorSlashes", _slashes),
]
