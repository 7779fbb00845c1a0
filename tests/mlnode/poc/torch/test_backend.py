"""Batches in flight: right, in order, of the size that fits, on one device or several."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from pivot.mlnode.poc import fingerprint as reference
from pivot.mlnode.poc.backends import OutOfMemory
from pivot.mlnode.poc.batches import Part
from pivot.mlnode.poc.generator import Stream
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.torch import backend as backend_module
from pivot.mlnode.poc.torch import generator
from pivot.mlnode.poc.torch import model as model_module
from pivot.mlnode.poc.torch.backend import TorchBackend
from pivot.mlnode.poc.torch.model import Inputs, TorchModel
from pivot.protocol.sprint import SPRINT_PRESETS, SprintPreset, distance, host_seed

PRESET = SPRINT_PRESETS["devnet"]
SEED = hashlib.sha256(b"a sprint").digest()
REFERENCE = SprintModel.build(PRESET, SEED)


def part(host: str, *nonces: int) -> Part:
    return Part(reference.host_stream(host_seed(SEED, host)), np.array(nonces, np.int64))


JOB = [part("gonka1host", *range(7)), part("gonka1other", 3, 2**40 + 1), part("gonka1host", *range(100, 120))]


def is_right(answer: bytes, job: list[Part]) -> bool:
    own = b"".join(reference.fingerprints(REFERENCE, each.stream, each.nonces).tobytes() for each in job)
    pairs = ((answer[i : i + 32], own[i : i + 32]) for i in range(0, len(own), 32))
    return len(answer) == len(own) and all(distance(a, b) <= PRESET.tolerance for a, b in pairs)


@pytest.fixture
def backend(device: str) -> TorchBackend:
    return TorchBackend(PRESET, SEED, [device])


def test_a_job_of_several_hosts_is_computed_together(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = count_passes(monkeypatch)
    assert is_right(backend.start(JOB)(), JOB)
    assert passes == [29]


def count_passes(monkeypatch: pytest.MonkeyPatch, room: int = 2**63) -> list[int]:
    """The sizes of the batches that go through the model, on a device that has room for so many nonces."""
    passes: list[int] = []

    def fixed_point(model: TorchModel, inputs: Inputs) -> torch.Tensor:
        if len(inputs.signs) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        passes.append(len(inputs.signs))
        return model_module.fixed_point(model, inputs)

    monkeypatch.setattr(backend_module, "fixed_point", fixed_point)
    return passes


def test_jobs_may_be_begun_before_others_are_done(backend: TorchBackend) -> None:
    jobs = [[part("gonka1host", *range(i, i + 5))] for i in range(0, 50, 5)]
    answers = [backend.start(job) for job in jobs]
    assert all(is_right(answer(), job) for answer, job in zip(answers, jobs, strict=True))


def test_m_item6_a_batch_without_room_is_halved_and_the_next_ones_are_smaller(
    backend: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch, room=8)
    assert is_right(backend.start(JOB)(), JOB)
    assert passes == [7, 7, 7, 7, 1]  # of 29: 14 and 7 were tried
    assert backend.batch == 7
    assert is_right(backend.start(JOB)(), JOB)
    assert passes[5:] == passes[:5]


def test_m_item6_no_room_for_a_single_nonce_is_told(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    count_passes(monkeypatch, room=0)
    with pytest.raises(OutOfMemory, match="no memory for a single nonce on"):
        backend.start(JOB)
    monkeypatch.undo()
    assert is_right(backend.start(JOB)(), JOB)


def test_a_model_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_matrix(out: torch.Tensor, stream: Stream, tensor: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model_module, "fill_matrix", fill_matrix)
    with pytest.raises(OutOfMemory, match="no memory for the model of the devnet preset on cpu: CUDA out of memory"):
        TorchBackend(PRESET, SEED, ["cpu"])


def test_m_item8_layers_over_several_devices_have_a_batch_each(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = TorchBackend(PRESET, SEED, ["cpu", "cpu", "cpu"])
    assert backend.ready.devices == ("cpu", "cpu", "cpu")
    assert backend.ready.batch == 3 * backend.batch
    passes = count_passes(monkeypatch)
    job = [part("gonka1host", *range(2 * backend.batch))]
    assert is_right(backend.start(job)(), job)
    assert passes == [backend.batch, backend.batch]


def seen_inputs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, Inputs]]:
    seen = []

    def make_inputs(shape: SprintPreset, stream: Stream, first: torch.Tensor, last: torch.Tensor) -> Inputs:
        made = model_module.make_inputs(shape, stream, first, last)
        seen.append((first, made))
        return made

    monkeypatch.setattr(backend_module, "make_inputs", make_inputs)
    return seen


def test_m1_inputs_are_generated_once(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_inputs(monkeypatch)
    answers = [backend.start([part("gonka1host", *range(i, i + 4))]) for i in range(0, 40, 4)]
    assert all(answer() for answer in answers)
    assert [nonce for nonces, _ in seen for nonce in nonces.tolist()] == list(range(40))


def test_m2_m3_only_nonces_go_to_the_device_and_only_fingerprints_come_back(
    backend: TorchBackend, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    seen = seen_inputs(monkeypatch)
    assert len(backend.start(JOB)()) == 29 * 32
    for nonces, inputs in seen:
        assert nonces.nbytes == 8 * len(nonces)
        for tensor in (nonces, inputs.embeddings, inputs.signs, inputs.directions):
            assert tensor.device.type == device
            assert tensor.dtype != torch.float64


def test_m_item7_weights_are_generated_on_the_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def words(*_: object) -> None:
        raise AssertionError("generated by numpy, in the host's memory")

    monkeypatch.setattr(Stream, "words", words)
    TorchBackend(PRESET, SEED, [device])


def test_m5_attention_is_fused(backend: TorchBackend) -> None:
    """No scores are written out: the softmax is inside one operator."""
    names = operators(backend)
    assert any("scaled_dot_product" in name and ("flash" in name or "efficient" in name) for name in names)
    assert not any("softmax" in name for name in names)


def operators(backend: TorchBackend) -> set[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        backend.start(JOB)()
    return {event.key for event in profile.key_averages()}


class FakeStream:
    """A CUDA stream that only writes down what is asked of it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: FakeStream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def record(self, stream: FakeStream) -> None:
        self.log.append(f"{self.name} after {stream.name}")

    def synchronize(self) -> None:
        self.log.append("the host waits")


def test_m1_inputs_are_made_beside_the_batch_before_and_the_host_waits_only_for_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order of things on a GPU, with the arithmetic on the CPU."""
    log: list[str] = []
    making, computing = FakeStream("making", log), FakeStream("computing", log)
    backend = TorchBackend(PRESET, SEED, ["cpu"])
    backend._making = making
    monkeypatch.setattr(backend_module, "pinned", lambda host: host)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, stream: log.append(f"{stream.name} reads"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: computing)
    monkeypatch.setattr(torch.cuda, "Event", lambda: FakeStream("done", log))

    @contextmanager
    def entered(stream: FakeStream) -> Iterator[None]:
        log.append(f"on {stream.name}")
        yield
        log.append(f"off {stream.name}")

    monkeypatch.setattr(torch.cuda, "stream", entered)
    answers = [backend.start(JOB) for _ in range(2)]
    launched = [
        "on making",
        "off making",
        "computing waits for making",
        *3 * ["computing reads"],
        "done after computing",
    ]
    assert log == 2 * launched
    assert all(is_right(answer(), JOB) for answer in answers)
    assert log[len(2 * launched) :] == ["the host waits", "the host waits"]


def test_m_item8_no_device_waits_for_what_another_has_still_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last device makes the signs and directions that it reads: the first only hands the stream on."""
    seen: list[str] = []

    def numbers(stream: Stream, tensor: int, nonces: torch.Tensor, count: int) -> torch.Tensor:
        seen.append(f"numbers {nonces.device.type}")
        return generator.numbers(stream, tensor, nonces, count)

    def signs(stream: Stream, tensor: int, nonces: torch.Tensor, count: int) -> torch.Tensor:
        seen.append(f"signs {nonces.device.type}")
        return torch.empty(len(nonces), count, device=nonces.device)

    monkeypatch.setattr(model_module, "numbers", numbers)
    monkeypatch.setattr(model_module, "signs", signs)
    first = torch.arange(2)
    model_module.make_inputs(PRESET, Stream((1, 2)), first, first.to("meta"))
    assert seen == ["numbers cpu", "signs meta", "signs meta"]
