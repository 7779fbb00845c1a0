"""What Prometheus gathers."""

from __future__ import annotations

from collections import Counter

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pivot.mlnode.metrics import Metrics
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.service import Service
from pivot.mlnode.watches import ClockWatch, DeviceWatch
from pivot.protocol.mlnode_api import InferenceInstance, InferenceState, InferenceStatus, InferenceUp
from tests.docs.pages import ROOT
from tests.mlnode.fakes import FakeApiNode, FakeEngine, FakeTraining, sprint, until
from tests.mlnode.test_devices import H100, ODD
from tests.mlnode.test_watches import Driver


def figures(metrics: Metrics) -> dict[str, float]:
    """Every line of the page: its name with its labels, and its value."""
    families = text_string_to_metric_families(metrics.page().decode())
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def service(session: aiohttp.ClientSession, engine: FakeEngine) -> Service:
    return Service(PowSession(session), engine, FakeTraining())


async def test_devices_modes_and_refusals_are_counted(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = DeviceWatch(Driver())
    await devices.look()
    metrics = Metrics(service, devices, ClockWatch(), Counter({409: 3, 401: 1}), "1.2")
    instances = [
        InferenceInstance(port=1, healthy=True, busy=4, restarts=0),
        InferenceInstance(port=2, healthy=False, busy=0, restarts=3, error="lost"),
    ]
    status = InferenceStatus(state=InferenceState.DEGRADED, instances=instances)
    await service.serve(InferenceUp(model="m"))
    monkeypatch.setattr(FakeEngine, "status", property(lambda _: status))
    found = figures(metrics)
    h100 = f"gpu=0 name={H100.name} uuid=GPU-aaaa"
    expected = {
        "info version=1.2": 1,
        "mode mode=INFERENCE": 1,
        "mode mode=STOPPED": 0,
        "mode mode=POW": 0,
        "warnings": 1,
        "requests_refused_total status=401": 1,
        "requests_refused_total status=409": 3,
        "clock_jump_seconds_total": 0,
        "engine_instances": 2,
        "engine_instances_healthy": 1,
        "engine_requests": 4,
        "engine_restarts": 3,
        "gpus": 2,
        "gpu_warnings": 0,
        f"gpu_memory_total_bytes {h100}": 81_559 * 2**20,
        f"gpu_memory_used_bytes {h100}": 1_234 * 2**20,
        f"gpu_utilisation_ratio {h100}": 0.97,
        f"gpu_temperature_celsius {h100}": 61,
    }
    assert {name: found[f"pivot_mlnode_{name}"] for name in expected} == expected
    assert f"pivot_mlnode_gpu_temperature_celsius gpu=1 name={ODD.name} uuid=GPU-bbbb" not in found
    await service.stop()


async def test_a_sprint_shows_its_progress(service: Service, api: FakeApiNode) -> None:
    metrics = Metrics(service, DeviceWatch(Driver(None)), ClockWatch(), {}, "1.2")
    assert "pivot_mlnode_sprint_epoch" not in figures(metrics)
    await service.generate(sprint(api.url, blocks=25, blocks_late=3))
    await until(lambda: api.leaves)
    await until(lambda: figures(metrics)["pivot_mlnode_sprint_acknowledged_leaves"] > 0)
    found = figures(metrics)
    assert found["pivot_mlnode_mode mode=POW"] == 1
    assert (found["pivot_mlnode_sprint_epoch"], found["pivot_mlnode_sprint_worker_restarts"]) == (7, 0)
    assert (found["pivot_mlnode_sprint_blocks"], found["pivot_mlnode_sprint_blocks_late"]) == (25, 3)
    await service.stop()
    assert "pivot_mlnode_sprint_epoch" not in figures(metrics)


async def test_every_metric_is_on_the_page_of_the_node(service: Service) -> None:
    page = (ROOT / "docs" / "mlnode.md").read_text()
    names = {family.name for family in Metrics(service, DeviceWatch(), ClockWatch(), {}, "1").collect()}
    sprints = {f"pivot_mlnode_sprint_{name}" for name in ("epoch", "rate", "acknowledged_leaves", "waiting_leaves")}
    missing = {name for name in names | sprints if f"`{name.removeprefix('pivot_mlnode_')}" not in page}
    assert missing == set()
