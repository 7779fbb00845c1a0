"""How many fingerprints a group of devices computes, and how near that is to its own matrix products.

What is measured is a worker's backend, with batches in flight as in service; the sprint's caps on passes per second do
not apply. On a CPU numpy and torch use one thread, seconds are the processor's own (other processes do not count), and
the peak is the same library's rate on the model's own shapes. On a GPU it is that of 8192 x 8192 fp16 matrices.

    python benchmarks/poc.py                                   # devnet, and small cut to two layers, with numpy
    python benchmarks/poc.py --preset mainnet --device cuda:0  # everything that is asked of one card
    python benchmarks/poc.py --preset mainnet --device cuda:0 cuda:1   # the layers over two cards
"""

import argparse
import json
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from report import machine, print_table, versions

from pivot.mlnode.poc.allocator import keep_freed_memory
from pivot.mlnode.poc.backends import Backend, NumpyBackend
from pivot.mlnode.poc.batches import Part
from pivot.mlnode.poc.fingerprint import host_stream
from pivot.protocol.sprint import SPRINT_PRESETS, SprintPreset, host_seed

SEED = bytes(range(32))
STREAM = host_stream(host_seed(SEED, "gonka1host"))
JOBS_IN_FLIGHT = 3
CHECKED_LEAVES = 100
CUDA_MATRIX = 8_192
LAYERS_ON_A_CPU = {"small": 2, "mainnet": 1}
"""To how many layers a preset is cut on a CPU unless --layers says otherwise: rates stay the same, waiting does not."""

Figures = dict[str, int | float | str]
Clock = Callable[[], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["devnet", "small"], choices=sorted(SPRINT_PRESETS))
    parser.add_argument("--device", nargs="+", default=[], help="torch's names of one group's devices; none: numpy")
    parser.add_argument("--layers", type=int, help="cut the presets to so many layers")
    parser.add_argument("--seconds", type=float, default=5, help="how long each part is measured")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    keep_freed_memory()
    results = [
        measure(cut_to(name, options.layers, options.device), options.device, options.seconds)
        for name in options.preset
    ]
    if options.json:
        libraries = ["numpy", *(["torch"] if options.device else [])]
        print(
            json.dumps({"benchmark": "poc", "results": results, "machine": machine(), "versions": versions(*libraries)})
        )
    else:
        print_table(results)


def cut_to(name: str, layers: int | None, devices: Sequence[str]) -> SprintPreset:
    preset = SPRINT_PRESETS[name]
    if layers is None and not on_cuda(devices):
        layers = LAYERS_ON_A_CPU.get(name)
    return replace(preset, layers=layers or preset.layers)


def on_cuda(devices: Sequence[str]) -> bool:
    return any(device.startswith("cuda") for device in devices)


def measure(preset: SprintPreset, devices: Sequence[str], seconds: float) -> Figures:
    """Build the model, then compute fingerprints for so many seconds."""
    clock = time.perf_counter if on_cuda(devices) else time.process_time
    begin = clock()
    backend = load(preset, devices)
    ready = clock() - begin
    backend.start([job(1)])()
    first = clock() - begin
    batch = backend.ready.batch
    peaks = [peak(preset, devices, batch, seconds, clock)]
    rate = throughput(backend, batch, seconds, clock)
    peaks.append(peak(preset, devices, batch, seconds, clock))
    flops = rate * preset.flops_per_pass()
    return {
        "preset": preset.name,
        "layers": preset.layers,
        "backend": backend.ready.backend,
        "devices": " ".join(backend.ready.devices) or "cpu",
        "batch": batch,
        "ready_s": round(ready, 2),
        "first_nonce_s": round(first, 2),
        "nonces_per_min": round(60 * rate, 1),
        "tflops": round(flops / 1e12, 3),
        "peak_tflops": round(max(peaks) / 1e12, 3),
        "share_of_peak": round(flops / max(peaks), 3),
        "check_100_s": round(checking(backend, clock), 2),
        "memory_gb": round(memory_bytes(devices) / 1e9, 2),
    }


def load(preset: SprintPreset, devices: Sequence[str]) -> Backend:
    if not devices:
        return NumpyBackend(preset, SEED)
    from pivot.mlnode.poc.torch.backend import TorchBackend  # noqa: PLC0415  an extra; its import counts

    return TorchBackend(preset, SEED, devices)


def job(nonces: int, first: int = 0) -> Part:
    return Part(STREAM, np.arange(first, first + nonces, dtype=np.int64))


def throughput(backend: Backend, batch: int, seconds: float, clock: Clock) -> float:
    """Nonces per second, with jobs in flight."""
    flying = deque(backend.start([job(batch, i * batch)]) for i in range(JOBS_IN_FLIGHT))
    flying.popleft()()
    done, begin = 0, clock()
    while (passed := clock() - begin) < seconds or not done:
        flying.append(backend.start([job(batch, (done + JOBS_IN_FLIGHT) * batch)]))
        flying.popleft()()
        done += 1
    while flying:
        flying.popleft()()
    return done * batch / passed


def checking(backend: Backend, clock: Clock) -> float:
    """Seconds for the leaves that a checker asks of one host."""
    begin = clock()
    backend.start([job(CHECKED_LEAVES)])()
    return clock() - begin


def peak(preset: SprintPreset, devices: Sequence[str], batch: int, seconds: float, clock: Clock) -> float:
    """Floating-point operations per second of bare matrix products, on all devices of the group."""
    if on_cuda(devices):
        return sum(cuda_peak(device, seconds) for device in dict.fromkeys(devices))
    d, f, rows = preset.dim, preset.ffn, batch * preset.sequence
    shapes = [(d, 3 * d), (d, d), (d, 2 * f), (f, d)]
    spent = sum(calls_take(product(devices, rows, *shape), seconds / len(shapes), clock) for shape in shapes)
    return sum(2 * rows * inner * outer for inner, outer in shapes) / spent


def product(devices: Sequence[str], rows: int, inner: int, outer: int) -> Callable[[], object]:
    """A product of (rows, inner) and (inner, outer), in the library that is measured."""
    random = np.random.default_rng(1)
    a, b = (random.standard_normal(shape, np.float32) for shape in ((rows, inner), (inner, outer)))
    out = np.empty((rows, outer), np.float32)
    if not devices:
        return lambda: np.matmul(a, b, out=out)
    import torch  # noqa: PLC0415  an extra

    return lambda: torch.mm(torch.from_numpy(a), torch.from_numpy(b), out=torch.from_numpy(out))


def calls_take(work: Callable[[], object], seconds: float, clock: Clock) -> float:
    """Seconds per call, after one to warm up. At least one call is measured."""
    work()
    calls, begin = 0, clock()
    while (passed := clock() - begin) < seconds or not calls:
        work()
        calls += 1
    return passed / calls


def cuda_peak(device: str, seconds: float) -> float:
    import torch  # noqa: PLC0415  an extra

    a, b = (torch.randn(CUDA_MATRIX, CUDA_MATRIX, dtype=torch.float16, device=device) for _ in range(2))
    out = torch.empty_like(a)

    def products() -> None:
        for _ in range(10):
            torch.mm(a, b, out=out)
        torch.cuda.synchronize(device)

    return 10 * 2 * CUDA_MATRIX**3 / calls_take(products, seconds, time.perf_counter)


def memory_bytes(devices: Sequence[str]) -> int:
    """The most that was held at a time: of the devices' memory, or of the process's own."""
    if not on_cuda(devices):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    import torch  # noqa: PLC0415  an extra

    return sum(torch.cuda.max_memory_allocated(device) for device in dict.fromkeys(devices))


if __name__ == "__main__":
    sys.exit(main())
