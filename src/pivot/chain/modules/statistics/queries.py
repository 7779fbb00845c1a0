"""What developers have asked for. Times are Unix milliseconds; a period without an end ends now, without a beginning a day earlier."""

from collections.abc import Iterable
from itertools import chain, islice

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.epochs.state import effective, effective_index, epoch_key
from pivot.chain.modules.statistics.state import (
    BY_DEVELOPER,
    BY_MINUTE,
    BY_MODEL,
    EPOCHS_KEPT,
    MILLISECONDS_PER_MINUTE,
    Totals,
    all_answers,
    answers,
    totals,
    totals_between,
)
from pivot.chain.types import View
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.types_pb2 import DeveloperStatsByEpoch, ModelStats

MAX_ANSWERS_TOLD = 5_000
"""Of one answer to a query, whose published request cannot ask for pages; the oldest come first."""
MAX_ANSWERS_DEBUGGED = 1_000
MILLISECONDS_PER_DAY = 24 * 60 * MILLISECONDS_PER_MINUTE
SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
_NANOSECONDS_PER_MILLISECOND = 10**6
_MAX_INT32 = 2**31 - 1


def _by_time(
    view: View, request: query_pb2.QueryStatsByTimePeriodByDeveloperRequest
) -> query_pb2.QueryStatsByTimePeriodByDeveloperResponse:
    """A developer's answers, as long as their inferences' records are kept."""
    check_address("developer", request.developer)
    first, last = _period(view, request.time_from, request.time_to)
    current = effective(view.state)
    oldest = max(current.index - current.params.epoch_params.inference_pruning_epoch_threshold + 1, 0)
    found = chain.from_iterable(
        answers(view.state, epoch, request.developer, first, last) for epoch in range(oldest, current.index + 1)
    )
    return query_pb2.QueryStatsByTimePeriodByDeveloperResponse(stats=islice(found, MAX_ANSWERS_TOLD))


def _of_developer_by_epochs(
    view: View, request: query_pb2.QueryStatsByDeveloperAndEpochBackwardsRequest
) -> query_pb2.QueryInferencesAndTokensStatsResponse:
    check_address("developer", request.developer)
    epochs = _epochs_before(view, request.epochs_n)
    return _summed(totals(view.state, epoch_key(BY_DEVELOPER, epoch, request.developer)) for epoch in epochs)


def _by_epochs(
    view: View, request: query_pb2.QueryInferencesAndTokensStatsByEpochsBackwardsRequest
) -> query_pb2.QueryInferencesAndTokensStatsResponse:
    epochs = _epochs_before(view, request.epochs_n)
    return _summed(each for _, _, each in totals_between(view.state, BY_MODEL, epochs.start, epochs.stop - 1))


def _by_period(
    view: View, request: query_pb2.QueryInferencesAndTokensStatsByTimePeriodRequest
) -> query_pb2.QueryInferencesAndTokensStatsResponse:
    """Of all developers, by whole minutes: those in which the period begins and ends count as well."""
    first, last = _period(view, request.time_from, request.time_to)
    return _summed(each for _, _, each in _minutes(view, first, last))


def _by_models(
    view: View, request: query_pb2.QueryInferencesAndTokensStatsByModelsRequest
) -> query_pb2.QueryInferencesAndTokensStatsByModelsResponse:
    """Of each model that has answered in these whole minutes, by its id."""
    first, last = _period(view, request.time_from, request.time_to)
    models: dict[str, Totals] = {}
    for _, model, each in _minutes(view, first, last):
        models[model] = models.get(model, Totals()).plus(each)
    return query_pb2.QueryInferencesAndTokensStatsByModelsResponse(
        stats_models=[
            ModelStats(model=model, ai_tokens=min(found.tokens, MAX_INT64), inferences=min(found.answers, _MAX_INT32))
            for model, found in sorted(models.items())
        ]
    )


def _debug(view: View, _: query_pb2.QueryDebugStatsRequest) -> query_pb2.QueryDebugStatsResponse:
    """The newest epoch's last rows, by developer."""
    response = query_pb2.QueryDebugStatsResponse()
    for developer, answer in islice(all_answers(view.state, reverse=True), MAX_ANSWERS_DEBUGGED):
        if not response.stats_by_time or response.stats_by_time[-1].developer != developer:
            response.stats_by_time.add(developer=developer)
            response.stats_by_epoch.add(developer=developer)
        response.stats_by_time[-1].stats.append(answer)
        by_epoch = response.stats_by_epoch[-1].stats
        if not by_epoch or by_epoch[-1].epoch_id != answer.epoch_id:
            by_epoch.append(DeveloperStatsByEpoch(epoch_id=answer.epoch_id))
        by_epoch[-1].inference_ids.append(answer.inference.inference_id)
    return response


def _period(view: View, time_from: int, time_to: int) -> tuple[int, int]:
    """First and last millisecond that are asked for. Raises SdkError (INVALID_REQUEST)."""
    last = time_to or view.time // _NANOSECONDS_PER_MILLISECOND
    first = time_from or max(last - MILLISECONDS_PER_DAY, 0)
    if not 0 <= first <= last < MAX_INT64:
        raise SdkError(SdkCode.INVALID_REQUEST, f"time_from {first} and time_to {last} are no period")
    return first, last


def _epochs_before(view: View, count: int) -> range:
    """The last epochs that have ended, without the running one. Raises SdkError (INVALID_REQUEST)."""
    if not 0 < count <= EPOCHS_KEPT:
        raise SdkError(SdkCode.INVALID_REQUEST, f"epochs_n is {count}, not 1 to {EPOCHS_KEPT}")
    running = effective_index(view.state)
    return range(max(running - count, 0), running)


def _minutes(view: View, first: int, last: int) -> Iterable[tuple[int, str, Totals]]:
    return totals_between(view.state, BY_MINUTE, first // MILLISECONDS_PER_MINUTE, last // MILLISECONDS_PER_MINUTE)


def _summed(each: Iterable[Totals]) -> query_pb2.QueryInferencesAndTokensStatsResponse:
    found = Totals()
    for one in each:
        found = found.plus(one)
    return query_pb2.QueryInferencesAndTokensStatsResponse(
        ai_tokens=min(found.tokens, MAX_INT64),
        inferences=min(found.answers, _MAX_INT32),
        actual_inferences_cost=min(found.cost, MAX_INT64),
    )


QUERIES: list[QueryHandler] = [
    query(SERVICE, "StatsByTimePeriodByDeveloper", _by_time),
    query(SERVICE, "StatsByDeveloperAndEpochsBackwards", _of_developer_by_epochs),
    query(SERVICE, "InferencesAndTokensStatsByEpochsBackwards", _by_epochs),
    query(SERVICE, "InferencesAndTokensStatsByTimePeriod", _by_period),
    query(SERVICE, "InferencesAndTokensStatsByModels", _by_models),
    query(SERVICE, "DebugStatsDeveloperStats", _debug),
]
