"""How many fingerprints a core computes, and how near that is to numpy's own matrix products.

Only the arithmetic of a worker is measured, with one BLAS thread; the sprint's caps on passes per second do not apply.

    python benchmarks/poc.py --preset devnet --seconds 5 --json
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np
from report import machine, print_table, versions

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.fingerprint import embeddings, fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel, forward
from pivot.protocol.sprint import SPRINT_PRESETS, host_seed

SEED = bytes(range(32))
MATRIX = 1_024
"""Size of the square fp32 matrices whose product is numpy's own rate."""

Figures = dict[str, int | float | str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--preset", nargs="+", default=["devnet"], choices=sorted(SPRINT_PRESETS))
    arguments.add_argument("--seconds", type=float, default=5, help="how long each part is measured")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = [measure(name, options.seconds) for name in options.preset]
    if options.json:
        print(json.dumps({"benchmark": "poc", "results": results, "machine": machine(), "versions": versions("numpy")}))
    else:
        print_table(results)


def measure(name: str, seconds: float) -> Figures:
    """Build the model of a preset, then compute fingerprints for so many seconds."""
    shape = SPRINT_PRESETS[name]
    start = time.perf_counter()
    model = SprintModel.build(shape, SEED)
    build = time.perf_counter() - start
    stream = host_stream(host_seed(SEED, "gonka1host"))
    nonces = np.arange(batch_size(shape), dtype=np.int64)
    inputs = embeddings(shape, stream, nonces)
    nonces_per_s = len(nonces) * rate(lambda: fingerprints(model, stream, nonces), seconds)
    forward_only = len(nonces) * rate(lambda: forward(model, inputs), seconds)
    flops = nonces_per_s * shape.flops_per_pass()
    peak = matrix_rate(seconds)
    return {
        "preset": name,
        "batch": len(nonces),
        "build_s": round(build, 2),
        "nonces_per_s": round(nonces_per_s, 2),
        "gflops": round(flops / 1e9, 1),
        "numpy_gflops": round(peak / 1e9, 1),
        "share_of_numpy": round(flops / peak, 3),
        "share_in_forward": round(nonces_per_s / forward_only, 3),
    }


def rate(work: Callable[[], object], seconds: float) -> float:
    """Calls per second, after one to warm up. At least one call is measured."""
    work()
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not calls:
        work()
        calls += 1
    return calls / passed


def matrix_rate(seconds: float) -> float:
    """Floating-point operations per second of numpy's fp32 matrix product."""
    a = np.random.default_rng(1).standard_normal((MATRIX, MATRIX)).astype(np.float32)
    return 2 * MATRIX**3 * rate(lambda: a @ a, seconds)


if __name__ == "__main__":
    sys.exit(main())
