"""`cosmos.staking.v1beta1.Query`: validators, and no delegations.

Wallets and explorers ask for all this when they start; where there is nothing, they get an empty list, not a refusal.
"""

from cosmos.staking.v1beta1 import query_pb2
from cosmos.staking.v1beta1.staking_pb2 import BondStatus, Params, Pool, Validator

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.params.state import consensus_params
from pivot.chain.modules.staking.validator import published, validator
from pivot.chain.modules.validators.powers import MAX_VALIDATORS
from pivot.chain.modules.validators.state import MEMBERS, STORE, last_powers
from pivot.chain.pagination import list_page
from pivot.chain.types import Reader, View
from pivot.primitives.addresses import InvalidAddress, of_operator
from pivot.primitives.coins import BASE_DENOM

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _validators(view: View, request: query_pb2.QueryValidatorsRequest) -> query_pb2.QueryValidatorsResponse:
    """Members by consensus key, of one status if it is named."""
    if request.status not in ("", *BondStatus.keys()):
        raise SdkError(SdkCode.INVALID_REQUEST, f"status: invalid validator status {request.status[:60]!r}")
    wanted = BondStatus.Value(request.status) if request.status else 0

    def listed(key: bytes, row: bytes) -> Validator | None:
        found = published(view.state, row.decode(), key)
        return found if wanted in (0, found.status) else None

    found, page = list_page(view.state, STORE, MEMBERS, request.pagination, listed)
    return query_pb2.QueryValidatorsResponse(validators=found, pagination=page)


def _validator(view: View, request: query_pb2.QueryValidatorRequest) -> query_pb2.QueryValidatorResponse:
    return query_pb2.QueryValidatorResponse(validator=require_validator(view.state, request.validator_addr))


def _of_validator(
    view: View, request: query_pb2.QueryValidatorDelegationsRequest
) -> query_pb2.QueryValidatorDelegationsResponse:
    require_validator(view.state, request.validator_addr)
    return query_pb2.QueryValidatorDelegationsResponse(pagination={})


def _unbonding_of_validator(
    view: View, request: query_pb2.QueryValidatorUnbondingDelegationsRequest
) -> query_pb2.QueryValidatorUnbondingDelegationsResponse:
    require_validator(view.state, request.validator_addr)
    return query_pb2.QueryValidatorUnbondingDelegationsResponse(pagination={})


def _delegation(_: View, request: query_pb2.QueryDelegationRequest) -> query_pb2.QueryDelegationResponse:
    raise _no_delegation(request.delegator_addr, request.validator_addr)


def _unbonding(
    _: View, request: query_pb2.QueryUnbondingDelegationRequest
) -> query_pb2.QueryUnbondingDelegationResponse:
    raise _no_delegation(request.delegator_addr, request.validator_addr)


def _of_delegator(
    _: View, request: query_pb2.QueryDelegatorDelegationsRequest
) -> query_pb2.QueryDelegatorDelegationsResponse:
    check_address("delegator_addr", request.delegator_addr)
    return query_pb2.QueryDelegatorDelegationsResponse(pagination={})


def _unbonding_of_delegator(
    _: View, request: query_pb2.QueryDelegatorUnbondingDelegationsRequest
) -> query_pb2.QueryDelegatorUnbondingDelegationsResponse:
    check_address("delegator_addr", request.delegator_addr)
    return query_pb2.QueryDelegatorUnbondingDelegationsResponse(pagination={})


def _redelegations(_: View, request: query_pb2.QueryRedelegationsRequest) -> query_pb2.QueryRedelegationsResponse:
    check_address("delegator_addr", request.delegator_addr)
    return query_pb2.QueryRedelegationsResponse(pagination={})


def _validators_of_delegator(
    _: View, request: query_pb2.QueryDelegatorValidatorsRequest
) -> query_pb2.QueryDelegatorValidatorsResponse:
    check_address("delegator_addr", request.delegator_addr)
    return query_pb2.QueryDelegatorValidatorsResponse(pagination={})


def _validator_of_delegator(
    _: View, request: query_pb2.QueryDelegatorValidatorRequest
) -> query_pb2.QueryDelegatorValidatorResponse:
    raise _no_delegation(request.delegator_addr, request.validator_addr)


def _historical(_: View, request: query_pb2.QueryHistoricalInfoRequest) -> query_pb2.QueryHistoricalInfoResponse:
    raise SdkError(SdkCode.NOT_FOUND, f"historical info for height {request.height} not found")


def _pool(view: View, _: query_pb2.QueryPoolRequest) -> query_pb2.QueryPoolResponse:
    """All consensus power; nothing waits beside it."""
    bonded = sum(last_powers(view.state).values())
    return query_pb2.QueryPoolResponse(pool=Pool(bonded_tokens=str(bonded), not_bonded_tokens="0"))


def _params(view: View, _: query_pb2.QueryParamsRequest) -> query_pb2.QueryParamsResponse:
    return query_pb2.QueryParamsResponse(
        params=Params(
            unbonding_time=consensus_params(view.state).evidence.max_age_duration,
            max_validators=MAX_VALIDATORS,
            bond_denom=BASE_DENOM,
            min_commission_rate="0",
        )
    )


def require_validator(state: Reader, operator_address: str, field: str = "validator_addr") -> Validator:
    """The validator of an operator's address, which stands in this field. Raises SdkError (INVALID_ADDRESS, NOT_FOUND)."""
    found = validator(state, _account(operator_address, field))
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"validator {operator_address} not found")
    return found


def _account(operator_address: str, field: str = "validator_addr") -> str:
    try:
        return of_operator(operator_address)
    except InvalidAddress as error:
        raise SdkError(SdkCode.INVALID_ADDRESS, f"{field}: {error}") from None


def _no_delegation(delegator: str, operator_address: str) -> SdkError:
    check_address("delegator_addr", delegator)
    _account(operator_address)
    return SdkError(
        SdkCode.NOT_FOUND, f"delegation with delegator {delegator} not found for validator {operator_address}"
    )


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Validators", _validators),
    query(SERVICE, "Validator", _validator),
    query(SERVICE, "ValidatorDelegations", _of_validator),
    query(SERVICE, "ValidatorUnbondingDelegations", _unbonding_of_validator),
    query(SERVICE, "Delegation", _delegation),
    query(SERVICE, "UnbondingDelegation", _unbonding),
    query(SERVICE, "DelegatorDelegations", _of_delegator),
    query(SERVICE, "DelegatorUnbondingDelegations", _unbonding_of_delegator),
    query(SERVICE, "Redelegations", _redelegations),
    query(SERVICE, "DelegatorValidators", _validators_of_delegator),
    query(SERVICE, "DelegatorValidator", _validator_of_delegator),
    query(SERVICE, "HistoricalInfo", _historical),
    query(SERVICE, "Pool", _pool),
    query(SERVICE, "Params", _params),
]
