"""The page of figures, in the form that Prometheus reads."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pivot.api.ledger.interface import LedgerError
from pivot.api.metrics import figures
from pivot.api.metrics.figures import PREFIX, Figure, Kind
from pivot.api.metrics.traffic import Traffic

CONTENT_TYPE = CONTENT_TYPE_LATEST

Sample = tuple[Figure, tuple[str, ...], float]
"""A figure, its labels' values, and its value."""
Source = Callable[[], Awaitable[Iterable[Sample]]]

_log = logging.getLogger(__name__)


class Metrics:
    """Asks every source when a page is wanted. What a source cannot tell is left out of the page, not made up."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Let a part of the node tell its figures."""
        self._sources.append(source)

    async def page(self) -> bytes:
        """All figures, as CONTENT_TYPE says."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Gathered(self._traffic, await self._samples()))
        return generate_latest(registry)

    async def _samples(self) -> list[Sample]:
        samples: list[Sample] = []
        for source in self._sources:
            try:
                samples += await source()
            except LedgerError as error:
                _log.info("figures are missing: %s", error)
        return samples


class _Gathered(Collector):
    """Figures of one moment, as Prometheus' library wants them."""

    def __init__(self, traffic: Traffic, samples: Iterable[Sample]) -> None:
        self._traffic = traffic
        self._samples: Mapping[Figure, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for figure, labels, value in samples:
            self._samples[figure].append((labels, value))
        for (method, route, status), count in traffic.requests.items():
            self._samples[figures.REQUESTS].append(((method, route, str(status)), count))
        self._samples[figures.REQUESTS_UNDER_WAY].append(((), traffic.under_way))

    def collect(self) -> Iterator[Metric]:
        for figure in figures.FIGURES:
            yield self._family(figure)

    def _family(self, figure: Figure) -> Metric:
        name = PREFIX + figure.name
        if figure.kind is Kind.HISTOGRAM:
            distribution = self._traffic.added_latency if figure is figures.ADDED_LATENCY else self._traffic.first_token
            return HistogramMetricFamily(name, figure.says, buckets=distribution.buckets(), sum_value=distribution.sum)
        kind = CounterMetricFamily if figure.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(name, figure.says, labels=figure.labels)
        for labels, value in self._samples[figure]:
            family.add_metric(labels, value)
        return family
