"""What Prometheus gathers of this node. Names are stable; docs/mlnode.md lists them. Nothing is asked when a page is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pivot.mlnode.devices import Device
from pivot.mlnode.service import Service
from pivot.mlnode.watches import ClockWatch, DeviceWatch
from pivot.protocol.mlnode_api import Mode

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "pivot_mlnode_"
MIB = 2**20
DEVICE_LABELS = ("gpu", "uuid", "name")
DEVICE_FIGURES: tuple[tuple[str, str, Callable[[Device], float | None]], ...] = (
    ("gpu_memory_total_bytes", "Memory.", lambda device: _times(device.memory_total_mib, MIB)),
    ("gpu_memory_used_bytes", "Memory in use.", lambda device: _times(device.memory_used_mib, MIB)),
    ("gpu_utilisation_ratio", "Share of time in use.", lambda device: _times(device.utilisation_percent, 0.01)),
    ("gpu_temperature_celsius", "Temperature.", lambda device: device.temperature_celsius),
)


class Metrics(Collector):
    """The node's figures, read where they are kept whenever a page is asked for."""

    def __init__(
        self, service: Service, devices: DeviceWatch, clock: ClockWatch, refused: Mapping[int, int], version: str
    ) -> None:
        self._service = service
        self._devices = devices
        self._clock = clock
        self._refused = refused
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        """All figures, as CONTENT_TYPE says."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' library asks."""
        yield from self._node()
        yield from self._sprint()
        yield from self._engine()
        yield from self._accelerators()

    def _node(self) -> Iterator[Metric]:
        state = self._service.state
        yield _labelled("info", "This software.", ("version",), [((self._version,), 1)])
        modes = [((mode,), int(mode == state.state)) for mode in Mode]
        yield _labelled("mode", "1 for the mode in which the node is.", ("mode",), modes)
        yield _gauge("warnings", "Sentences that the node has to say of itself in its state.", len(state.warnings))
        refused = CounterMetricFamily(PREFIX + "requests_refused", "Answers from status 400 on.", labels=("status",))
        for status, count in sorted(self._refused.items()):
            refused.add_metric((str(status),), count)
        yield refused
        yield CounterMetricFamily(
            PREFIX + "clock_jump_seconds",
            "Seconds by which the clock has jumped, to either side.",
            self._clock.jumped_s,
        )

    def _sprint(self) -> Iterator[Metric]:
        status, init = self._service.pow_status, self._service.sprint_init
        figures = (
            ("sprint_epoch", "Epoch of the sprint that is loaded.", status.epoch),
            ("sprint_blocks", "Length of the sprint in blocks.", init.blocks if init else None),
            (
                "sprint_blocks_late",
                "Blocks that had passed when the node was told of it.",
                init.blocks_late if init else None,
            ),
            ("sprint_rate", "Passes per second.", status.rate),
            ("sprint_computed_leaves", "One more than the last leaf that is computed.", status.computed),
            (
                "sprint_acknowledged_leaves",
                "One more than the last leaf that the API node has taken.",
                status.next_index,
            ),
            ("sprint_waiting_leaves", "Leaves that are computed and not taken, or wait to be checked.", status.waiting),
            ("sprint_worker_restarts", "How often workers were started again.", status.restarts),
        )
        for name, description, value in figures:
            if value is not None:
                yield _gauge(name, description, value)

    def _engine(self) -> Iterator[Metric]:
        instances = self._service.inference_status.instances
        yield _gauge("engine_instances", "Processes that serve the model, or should.", len(instances))
        healthy = sum(instance.healthy for instance in instances)
        yield _gauge("engine_instances_healthy", "Those that requests are given to.", healthy)
        busy = sum(instance.busy for instance in instances)
        yield _gauge("engine_requests", "Requests that are answered now.", busy)
        restarts = sum(instance.restarts for instance in instances)
        yield _gauge("engine_restarts", "How often those processes were started again.", restarts)

    def _accelerators(self) -> Iterator[Metric]:
        devices = self._devices.devices
        yield _gauge("gpus", "Accelerators that the driver lists.", len(devices))
        yield _gauge("gpu_warnings", "What was there and is not, in sentences.", len(self._devices.warnings))
        for name, description, value_of in DEVICE_FIGURES:
            told = [((str(each.index), each.uuid, each.name), value_of(each)) for each in devices]
            yield _labelled(name, description, DEVICE_LABELS, told)


def _times(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _gauge(name: str, description: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, description, value)


def _labelled(
    name: str, description: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float | None]]
) -> GaugeMetricFamily:
    """One line for each value that is known."""
    family = GaugeMetricFamily(PREFIX + name, description, labels=labels)
    for of, value in values:
        if value is not None:
            family.add_metric(of, value)
    return family
