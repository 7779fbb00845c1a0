"""What checkers need to know: answers with what decides who checks them, the parameters, and how far everybody is."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences.answers import DETAILS, details, requests, segment_prefix
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.members.state import weight
from pivot.chain.modules.validation.state import DUTIES, STORE, duties, reported
from pivot.chain.pagination import list_page
from pivot.chain.types import Reader, View
from pivot.protocol.decimals import text
from pivot.protocol.duties import minimum_average
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllEpochGroupValidationsRequest,
    QueryAllEpochGroupValidationsResponse,
    QueryAllInferenceValidationDetailsRequest,
    QueryAllInferenceValidationDetailsResponse,
    QueryCheckerDutiesRequest,
    QueryCheckerDutiesResponse,
    QueryGetEpochGroupValidationsRequest,
    QueryGetEpochGroupValidationsResponse,
    QueryGetInferenceValidationDetailsRequest,
    QueryGetInferenceValidationDetailsResponse,
    QueryGetInferenceValidationParametersRequest,
    QueryGetInferenceValidationParametersResponse,
    QueryGetMinimumValidationAverageRequest,
    QueryGetMinimumValidationAverageResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CheckerDuties,
    EpochGroupValidations,
    InferenceValidationDetails,
)

MAX_IDS = 1_000
"""Answers that one question may name."""


def _validations(view: View, request: QueryGetEpochGroupValidationsRequest) -> QueryGetEpochGroupValidationsResponse:
    check_address("participant", request.participant)
    found = _reports(view.state, request.epoch_index, request.participant)
    return QueryGetEpochGroupValidationsResponse(epoch_group_validations=found)


def _all_validations(
    view: View, request: QueryAllEpochGroupValidationsRequest
) -> QueryAllEpochGroupValidationsResponse:
    """One entry for each host that had duties in an epoch."""

    def shown(_: bytes, row: bytes) -> EpochGroupValidations:
        record = CheckerDuties.FromString(row)
        return _reports(view.state, record.epoch_index, record.participant)

    found, page = list_page(view.state, STORE, DUTIES, request.pagination, shown)
    return QueryAllEpochGroupValidationsResponse(epoch_group_validations=found, pagination=page)


def _reports(state: Reader, epoch: int, host: str) -> EpochGroupValidations:
    return EpochGroupValidations(participant=host, epoch_index=epoch, validated_inferences=reported(state, epoch, host))


def _details(
    view: View, request: QueryGetInferenceValidationDetailsRequest
) -> QueryGetInferenceValidationDetailsResponse:
    found = _details_of(view.state, request.inferenceId)
    if found is None or found.epoch_id != request.epochId:
        raise NetworkError(
            NetworkCode.INFERENCE_NOT_FOUND,
            f"epoch {request.epochId} has no answer {request.inferenceId[:100]!r}",
        )
    return QueryGetInferenceValidationDetailsResponse(inferenceValidationDetails=found)


def _all_details(
    view: View, request: QueryAllInferenceValidationDetailsRequest
) -> QueryAllInferenceValidationDetailsResponse:
    """By epoch, segment and id: the order in which the draw takes them."""
    prefix = DETAILS
    if request.epoch_index:
        segment = request.segment if request.HasField("segment") else None
        if segment is not None and segment >= SEGMENTS:
            raise NetworkError(NetworkCode.INVALID_FIELD, f"segment must be between 0 and {SEGMENTS - 1}")
        prefix = segment_prefix(request.epoch_index, segment)
    found, page = list_page(view.state, STORE, prefix, request.pagination, _parsed)
    return QueryAllInferenceValidationDetailsResponse(inferenceValidationDetails=found, pagination=page)


def _parsed(_: bytes, row: bytes) -> InferenceValidationDetails:
    return InferenceValidationDetails.FromString(row)


def _parameters(
    view: View, request: QueryGetInferenceValidationParametersRequest
) -> QueryGetInferenceValidationParametersResponse:
    """What decides who checks these answers; of those that are not known nothing is told (W-26: also in epoch 0)."""
    check_address("requester", request.requester)
    if len(request.ids) > MAX_IDS:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"ids are {len(request.ids)}, at most {MAX_IDS}")
    current = effective(view.state)
    found = [_details_of(view.state, inference_id) for inference_id in request.ids]
    return QueryGetInferenceValidationParametersResponse(
        validator_power=weight(view.state, current.index, request.requester),
        current_height=view.height,
        details=[each for each in found if each is not None],
        parameters=current.params.validation_params,
    )


def _details_of(state: Reader, inference_id: str) -> InferenceValidationDetails | None:
    record = inference(state, inference_id)
    return None if record is None else details(state, record.finished_epoch_id, record.segment, inference_id)


def _minimum_average(
    view: View, _: QueryGetMinimumValidationAverageRequest
) -> QueryGetMinimumValidationAverageResponse:
    current = effective(view.state)
    traffic = max(requests(view.state, current.index), requests(view.state, current.index - 1))
    return QueryGetMinimumValidationAverageResponse(
        traffic_basis=traffic,
        minimum_validation_average=text(minimum_average(current.params.validation_params, traffic)),
        block_height=view.height,
    )


def _duties(view: View, request: QueryCheckerDutiesRequest) -> QueryCheckerDutiesResponse:
    check_address("participant", request.participant)
    return QueryCheckerDutiesResponse(duties=duties(view.state, request.epoch_index, request.participant))


_SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
QUERIES: list[QueryHandler] = [
    query(_SERVICE, "EpochGroupValidations", _validations),
    query(_SERVICE, "EpochGroupValidationsAll", _all_validations),
    query(_SERVICE, "InferenceValidationDetails", _details),
    query(_SERVICE, "InferenceValidationDetailsAll", _all_details),
    query(_SERVICE, "GetInferenceValidationParameters", _parameters),
    query(_SERVICE, "GetMinimumValidationAverage", _minimum_average),
    query(_SERVICE, "CheckerDuties", _duties),
]
