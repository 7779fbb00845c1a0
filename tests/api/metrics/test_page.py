"""The page holds every figure under its name, and what cannot be told is left out."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from pivot.api.ledger.interface import ChainUnavailable
from pivot.api.metrics import figures
from pivot.api.metrics.figures import FIGURES, PREFIX
from pivot.api.metrics.page import Metrics, Sample
from pivot.api.metrics.traffic import Distribution, Traffic


async def page_of(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    families = text_string_to_metric_families((await metrics.page()).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


async def test_what_was_counted_and_what_sources_tell_is_on_the_page() -> None:
    traffic = Traffic()
    traffic.requests["POST", "/v1/chat/completions", 200] += 3
    traffic.under_way = 2
    traffic.added_latency.add(0.0007)

    async def source() -> Iterable[Sample]:
        return [(figures.EPOCH, (), 9), (figures.NODES, ("serving",), 2), (figures.NODES, ("unreachable",), 1)]

    metrics = Metrics(traffic)
    metrics.add(source)
    told = await page_of(metrics)
    labels = (("method", "POST"), ("route", "/v1/chat/completions"), ("status", "200"))
    assert told[PREFIX + "requests_total", labels] == 3
    assert told[PREFIX + "requests_under_way", ()] == 2
    assert told[PREFIX + "epoch", ()] == 9
    assert told[PREFIX + "ml_nodes", (("state", "serving"),)] == 2
    assert told[PREFIX + "added_latency_seconds_bucket", (("le", "0.0005"),)] == 0
    assert told[PREFIX + "added_latency_seconds_bucket", (("le", "0.001"),)] == 1
    assert told[PREFIX + "added_latency_seconds_count", ()] == 1
    assert any(name == "process_resident_memory_bytes" for name, _ in told)


async def test_a_chain_that_is_away_takes_its_own_figures_only() -> None:
    async def away() -> Iterable[Sample]:
        raise ChainUnavailable("nobody listens")

    async def source() -> Iterable[Sample]:
        return [(figures.SYNCED, (), 0)]

    metrics = Metrics(Traffic())
    metrics.add(away)
    metrics.add(source)
    told = await page_of(metrics)
    assert told[PREFIX + "chain_synced", ()] == 0
    assert (PREFIX + "weight", ()) not in told


def test_names_are_used_once() -> None:
    assert len({figure.full_name for figure in FIGURES}) == len(FIGURES)


def test_a_value_on_a_bound_counts_below_it() -> None:
    distribution = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        distribution.add(value)
    assert distribution.buckets() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert distribution.sum == 12.0
