"""Which sizes are measured, and what is told of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.poc_science import statistics
from benchmarks.poc_science.arithmetic import EXACT, HALF
from benchmarks.poc_science.frauds import WHOLE_FORMATS, catalogue, chosen, everywhere, without_layer, without_share
from benchmarks.poc_science.honest import CARELESS, distances, machines, pairs, per_coordinate, pooled, work
from benchmarks.poc_science.transformer import Sprint, block
from pivot.protocol.sprint import PROBABILITY_UNIT, SPRINT_PRESETS, SprintPreset

SEED = bytes(range(32))
DEVNET = SPRINT_PRESETS["devnet"]
LEAVES = 100
"""Of a host that a checker asks for, as in the `mainnet` parameters."""
SAMPLE_SIZES = (20, 40, 100)
CHECKERS = (1, 3, 16)
TOLD_INFLATIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
CAUGHT = 0.99
SHARES = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Of the feed-forward that is left out in every layer."""

Figures = dict[str, Any]


def shape(dim: int, layers: int, sequence: int, ffn: int = 0, heads: int = 4) -> SprintPreset:
    """A model with the tolerances of `devnet`; the feed-forward is four times as wide unless told."""
    return replace(DEVNET, name="none", dim=dim, heads=heads, layers=layers, sequence=sequence, ffn=ffn or 4 * dim)


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    honest: dict[str, tuple[SprintPreset, int]]
    """Sizes with their numbers of nonces: only honest machines."""
    frauds: dict[str, tuple[SprintPreset, int]]
    """Sizes at which all frauds are tried."""
    layers: tuple[SprintPreset, int]
    """Where each single layer is left out."""
    tail: tuple[SprintPreset, int, int]
    """Where many nonces are computed: nonces a sprint, sprints."""
    sums: list[tuple[SprintPreset, int]] = field(default_factory=list)
    """Where sums in fp16 are tried: their errors alone grow with a model's width."""


QUICK = Plan(
    honest={},
    frauds={"16 x 2": (shape(16, 2, 8, heads=2), 12)},
    layers=(shape(16, 4, 8, heads=2), 8),
    tail=(shape(16, 2, 8, heads=2), 64, 1),
)
FULL = Plan(
    honest={
        **{f"D {d}": (shape(d, 8, 16), 64) for d in (64, 128, 256, 512)},
        **{f"L {n}": (shape(128, n, 16), 64) for n in (2, 8, 16, 32, 64)},
        **{f"T {t}": (shape(128, 8, t), 64) for t in (4, 16, 64, 128)},
        **{f"F {f}": (shape(128, 8, 16, ffn=f), 64) for f in (1_024, 3_456)},
        "D 512, L 64, T 64": (shape(512, 64, 64, heads=8), 4),
        "D 768, F 20,736": (shape(768, 4, 64, ffn=20_736, heads=12), 2),
    },
    frauds={
        "devnet": (DEVNET, 96),
        "D 256, L 64, T 32": (shape(256, 64, 32), 8),
    },
    layers=(shape(128, 64, 16), 24),
    tail=(DEVNET, 1_000, 4),
    sums=[(shape(d, 2, 8), 24) for d in (64, 128, 256, 512, 1_024)],
)


def of_preset(preset: SprintPreset, nonces: int) -> Plan:
    """Everything at the size of one preset."""
    size = (preset, nonces)
    return Plan(honest={}, frauds={preset.name: size}, layers=size, tail=(preset, nonces, 1))


def measure(plan: Plan, device: str, note: Any) -> Figures:
    """All figures. `note` is told what is being measured."""
    honest = {}
    for name, (size, nonces) in {**plan.honest, **plan.frauds}.items():
        note(f"honest machines, {name}")
        honest[name] = honest_figures(Sprint.of(size, SEED, nonces, device))
    frauds = {}
    for name, (size, nonces) in plan.frauds.items():
        note(f"frauds, {name}")
        frauds[name] = fraud_figures(Sprint.of(size, SEED, nonces, device))
    note("single layers and shares")
    parts = part_figures(Sprint.of(plan.layers[0], SEED, plan.layers[1], device))
    note("the tail")
    return {
        "honest": honest,
        "frauds": frauds,
        **parts,
        "tail": tail_figures(*plan.tail, device),
        "sums": [sum_figures(Sprint.of(size, SEED, nonces, device)) for size, nonces in plan.sums],
        "sample": sample_figures(DEVNET),
    }


def honest_figures(sprint: Sprint) -> Figures:
    """How far every machine is from exact products, and the two that are farthest apart."""
    claims = machines(sprint)
    careful = {name: claim for name, claim in claims.items() if name not in CARELESS}
    return {
        "shape": {"D": sprint.shape.dim, "L": sprint.shape.layers, "T": sprint.shape.sequence, "F": sprint.shape.ffn},
        "nonces": len(sprint.nonces),
        "machines": {name: summary(distances(claim, claims["fp32"])) for name, claim in claims.items()},
        "farthest": farthest(pairs(careful)),
        "farthest_careless": farthest(pairs(claims)),
    }


def farthest(apart: dict[tuple[str, str], np.ndarray]) -> Figures:
    """The pair of machines with the greatest pooled distance."""
    first, second = max(apart, key=lambda pair: pooled(apart[pair]))
    return {"machines": [first, second], **summary(apart[first, second])}


def summary(apart: np.ndarray) -> Figures:
    """Of measured distances, in units of 2**-12 unless told."""
    return {
        "pooled": round(pooled(apart), 2),
        "rms_per_coordinate": per_coordinate(pooled(apart)),
        "least": int(apart.min()),
        "median": float(np.median(apart)),
        "most": int(apart.max()),
    }


def fraud_figures(sprint: Sprint) -> Figures:
    """How far every fraud is from an honest checker's exact products, and what refuses it."""
    exact = work(EXACT)(sprint)
    found = {}
    for name, machine in catalogue().items():
        apart = distances(machine(sprint), exact)
        found[name] = {**summary(apart), **judged(sprint.shape, apart)}
    return found


def judged(preset: SprintPreset, apart: np.ndarray) -> Figures:
    """What the two tests say of leaves that are so far off, if all leaves of a host are."""
    matching = apart[apart <= preset.tolerance]
    share = 1 - len(matching) / len(apart)
    rms = pooled(matching) if len(matching) else 0.0
    by_count = statistics.refusal_by_one(preset, LEAVES, share)
    return {
        "mismatched": round(share, 3),
        "matching_pooled": round(rms, 2),
        "refused_by": "count" if by_count > 0.99 else "rms" if rms > preset.rms_limit else "nothing",
    }


def part_figures(sprint: Sprint) -> Figures:
    """What it costs to leave out parts."""
    return {"layers": layer_figures(sprint), "shares": share_figures(sprint)}


def layer_figures(sprint: Sprint) -> list[Figures]:
    """Each layer left out alone."""
    exact = work(EXACT)(sprint)
    return [
        {"place": place, **summary(distances(without_layer(place)(sprint), exact))}
        for place in range(sprint.shape.layers)
    ]


def share_figures(sprint: Sprint) -> list[Figures]:
    """A share of every layer's feed-forward left out."""
    exact = work(EXACT)(sprint)
    found = []
    for share in SHARES:
        width = max(1, round(share * sprint.shape.ffn))
        machine = chosen(without_share(share), everywhere, block(HALF))
        found.append({"share": width / sprint.shape.ffn, **summary(distances(machine(sprint), exact))})
    return found


def sum_figures(sprint: Sprint) -> Figures:
    """Every layer's sums in fp16."""
    found = work(WHOLE_FORMATS["sums in fp16"])(sprint)
    return {"D": sprint.shape.dim, **summary(distances(found, work(EXACT)(sprint)))}


def tail_figures(preset: SprintPreset, nonces: int, sprints: int, device: str) -> Figures:
    """Distances of many nonces over several sprints, for the careful and for all machines: those of the farthest pairs."""
    careful: list[int] = []
    everyone: list[int] = []
    by_sprint = []
    for number in range(sprints):
        claims = machines(Sprint.of(preset, bytes([number]) * 32, nonces, device))
        apart = pairs({name: claim for name, claim in claims.items() if name not in CARELESS})
        careful += _of_farthest(apart)
        everyone += _of_farthest(pairs(claims))
        by_sprint.append(round(max(pooled(each) for each in apart.values()), 2))
    return {
        "pooled_by_sprint": by_sprint,
        "careful": tail(preset, careful),
        "careless": tail(preset, everyone),
    }


def _of_farthest(apart: dict[tuple[str, str], np.ndarray]) -> list[int]:
    return [int(each) for each in apart[max(apart, key=lambda pair: pooled(apart[pair]))]]


def tail(preset: SprintPreset, apart: Sequence[int]) -> Figures:
    """What is rare among honest distances."""
    squares = [float(each**2) for each in apart if each <= preset.tolerance]
    return {
        "leaves": len(apart),
        "counts": dict(sorted(Counter(apart).items())),
        **summary(np.array(apart)),
        "above_tolerance": sum(each > preset.tolerance for each in apart),
        "refused_by_rms": {
            leaves: statistics.chance_of_mean(squares, preset.rms_limit**2, leaves) for leaves in SAMPLE_SIZES
        },
        "rms_sees": {leaves: round(statistics.seen_excess(squares, leaves, CAUGHT), 3) for leaves in SAMPLE_SIZES},
    }


def sample_figures(preset: SprintPreset) -> Figures:
    """What the sample proves, by arithmetic alone."""
    honest = preset.mismatch_probability / PROBABILITY_UNIT
    return {
        "mismatches_refused": {leaves: statistics.refused_at(preset, leaves) for leaves in SAMPLE_SIZES},
        "honest_refused_by_one": {leaves: statistics.refusal_by_one(preset, leaves, honest) for leaves in SAMPLE_SIZES},
        "smallest_sample": statistics.smallest_sample(preset, 3, 0.05, CAUGHT),
        "refused": {n: _curve(preset, n, TOLD_INFLATIONS) for n in CHECKERS},
        "credit": {
            n: {each: statistics.expected_credit(preset, LEAVES, n, each) for each in TOLD_INFLATIONS} for n in CHECKERS
        },
        "best": {n: statistics.best_inflation(preset, LEAVES, n) for n in CHECKERS},
    }


def _curve(preset: SprintPreset, checkers: int, inflations: Iterable[float]) -> dict[float, float]:
    return {each: statistics.refusal(preset, LEAVES, checkers, statistics.wrong_share(each)) for each in inflations}
