"""Machines that do all the work: they differ in precision, in the order of sums and in the size of batches."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from benchmarks.poc_science.arithmetic import EXACT, HALF, Arithmetic, fp16, into, tf32
from benchmarks.poc_science.transformer import Sprint, block, run
from pivot.mlnode.poc.fingerprint import Fingerprints, fingerprints
from pivot.mlnode.poc.generator import Nonces
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import DISTANCE_UNIT, FINGERPRINT_COORDINATES

Machine = Callable[[Sprint], Fingerprints]

ARITHMETICS = {
    "fp32, sums in seven parts": Arithmetic(parts=into(7)),
    "TF32": Arithmetic(operand=tf32, scores=tf32),
    "fp16": HALF,
    "fp16, results kept in fp32": Arithmetic(operand=fp16, scores=fp16),
    "fp16, fused attention": replace(HALF, late_division=True),
    "fp16, gates in fp16": replace(HALF, gates=fp16),
    "fp16, sums in four parts": replace(HALF, parts=into(4)),
    "fp16, parts added in fp16": replace(HALF, parts=into(4), partial=fp16),
    "fp16, scales folded into the weights": replace(HALF, weights=fp16),
}
"""The last two are careless: a library does so unless it is told not to."""
BATCH = 8
BUILT_TWICE = 10**10
"""Models with as many parameters are not built a second time in fp32."""
CARELESS = ("fp16, parts added in fp16", "fp16, scales folded into the weights")


def machines(sprint: Sprint) -> dict[str, Fingerprints]:
    """What each honest machine claims for the sprint's nonces."""
    own = _numpy(sprint) if sprint.device in {"numpy", "cpu"} else {}
    if sprint.device != "numpy":
        own |= _torch(sprint)
    return {"fp32": work(EXACT)(sprint)} | own | {name: work(each)(sprint) for name, each in ARITHMETICS.items()}


def _numpy(sprint: Sprint) -> dict[str, Fingerprints]:
    """The ML node's own numpy path, one nonce a batch and in batches of five."""
    model = sprint.built if sprint.device == "numpy" else SprintModel.build(sprint.shape, sprint.seed)
    return {
        f"ML node, numpy fp32, batches of {size}": np.concatenate(
            [fingerprints(model, sprint.stream, part) for part in batches(sprint.nonces, size)]
        )
        for size in (1, 5)
    }


def _torch(sprint: Sprint) -> dict[str, Fingerprints]:
    """The ML node's own torch path; on a CPU also with one thread more."""
    import torch  # noqa: PLC0415

    from pivot.mlnode.poc.torch import model as own  # noqa: PLC0415

    def claims(model: own.TorchModel, size: int) -> Fingerprints:
        return np.concatenate([own.fingerprints(model, sprint.stream, part) for part in batches(sprint.nonces, size)])

    found = {f"ML node, torch fp16, batches of {size}": claims(sprint.built, size) for size in (1, BATCH)}
    if sprint.shape.parameter_count() < BUILT_TWICE:
        for precision in ("tf32", "fp32"):
            model = own.TorchModel.build(sprint.shape, sprint.seed, sprint.device, precision)
            found[f"ML node, torch {precision}, batches of {BATCH}"] = claims(model, BATCH)
    if sprint.device == "cpu":
        threads = torch.get_num_threads()
        torch.set_num_threads(threads + 1)
        found["fp32, one thread more"] = work(EXACT)(sprint)
        torch.set_num_threads(threads)
    return found


def batches(nonces: Nonces, size: int) -> list[Nonces]:
    return [nonces[start : start + size] for start in range(0, len(nonces), size)]


def work(arithmetic: Arithmetic) -> Machine:
    """The whole pass in some arithmetic."""
    return lambda sprint: sprint.read(run(sprint, block(arithmetic)))


def distances(claims: Fingerprints, others: Fingerprints) -> np.ndarray:
    """Of each pair of fingerprints, as `protocol.sprint.distance` has it. (B, 16) twice to (B,) int64."""
    apart = claims.astype(np.int64) - others.astype(np.int64)
    return np.rint(np.sqrt((apart**2).sum(axis=1))).astype(np.int64)


def pairs(claims: Mapping[str, Fingerprints]) -> dict[tuple[str, str], np.ndarray]:
    """Distances between every two machines."""
    return {(a, b): distances(claims[a], claims[b]) for a, b in combinations(claims, 2)}


def pooled(apart: np.ndarray) -> float:
    """Root of the mean squared distance, in units of 2**-12."""
    return float(np.sqrt((apart.astype(np.float64) ** 2).mean()))


def per_coordinate(distance: float) -> float:
    """A distance as rms per coordinate."""
    return distance / (DISTANCE_UNIT * FINGERPRINT_COORDINATES**0.5)
