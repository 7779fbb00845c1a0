"""The tables and drawings of docs/protocol/poc.md, from measured figures."""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any

from benchmarks.poc_science import statistics
from benchmarks.poc_science.frauds import FORMATS, PLACES
from benchmarks.poc_science.measurements import CHECKERS, DEVNET, LEAVES, TOLD_INFLATIONS, Figures
from benchmarks.poc_science.plots import COLOURS, Axis, Line, Mark, Range, line_chart, range_chart

UNITS = "distance in units of 2⁻¹²"
SMALLEST_CHANCE = 1e-5
NOT_DRAWN = ("one scale", "last quarter")
"""Ends of the names of frauds that look like their neighbours."""
TOLERANCE = Mark("tolerance", DEVNET.tolerance)
LIMIT = Mark("limit of the pooled rms", DEVNET.rms_limit)
DRAWN_INFLATIONS = [0.0001 * 1.03**i for i in range(242)]
"""From 0.01 to 12 per cent."""


def tables(figures: Figures) -> str:
    """Markdown."""
    parts = [_honest_sizes(figures["honest"])]
    parts += [_machines(name, found) for name, found in figures["honest"].items() if name in figures["frauds"]]
    parts += [
        _formats(figures["frauds"]),
        _frauds(figures["frauds"]),
        _sums(figures["sums"]),
        _tail(figures["tail"]),
        _sample(figures["sample"]),
    ]
    return "\n\n".join(parts)


def draw(figures: Figures) -> dict[str, str]:
    """SVG by name."""
    last = next(reversed(figures["frauds"]))
    drawn = {
        "distances": _distances(last, figures["honest"][last], figures["frauds"][last]),
        "layers": _layers(figures["layers"]),
        "shares": _shares(figures["shares"]),
        "tail": _tail_chart(figures["tail"]),
        "refused": _refused(),
        "credit": _credit(),
    }
    for letter in "DLT":
        points = [
            (each["shape"][letter], each)
            for name, each in figures["honest"].items()
            if name == f"{letter} {each['shape'][letter]}"
        ]
        if len(points) > 1:
            drawn[f"scaling_{letter.lower()}"] = _scaling(letter, points)
    return drawn


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _honest_sizes(honest: Mapping[str, Figures]) -> str:
    def row(found: Figures) -> list[Any]:
        sizes = [found["shape"][letter] for letter in "DLTF"]
        kinds = [found["machines"][name]["pooled"] for name in ("TF32", "fp16")]
        far, careless = found["farthest"], found["farthest_careless"]
        return [*sizes, found["nonces"], *kinds, far["pooled"], far["most"], careless["pooled"], careless["most"]]

    head = ["D", "L", "T", "F", "nonces", "TF32", "fp16", "farthest pair", "its most", "with careless ones", "its most"]
    return _table(head, map(row, honest.values()))


def _machines(name: str, found: Figures) -> str:
    rows = [
        (machine, each["pooled"], f"{each['rms_per_coordinate']:.1e}", each["most"])
        for machine, each in found["machines"].items()
    ]
    far = found["farthest"]
    rows.append((" and ".join(far["machines"]), far["pooled"], f"{far['rms_per_coordinate']:.1e}", far["most"]))
    return f"{name}:\n\n" + _table(("machine", "pooled", "per coordinate", "most"), rows)


def _formats(frauds: Mapping[str, Mapping[str, Figures]]) -> str:
    """Formats that were tried in some of the layers: a row each, where they were tried across."""
    head = ["format", *(f"{where}, {size}" for where in ("all layers", *PLACES) for size in frauds)]
    rows = []
    for name in FORMATS:
        tried = [name, *(f"{name}, {place}" for place in PLACES)]
        rows.append([name, *(_cell(size[each]) for each in tried for size in frauds.values())])
    return _table(head, rows)


def _frauds(frauds: Mapping[str, Mapping[str, Figures]]) -> str:
    """All others."""
    names = [name for name in next(iter(frauds.values())) if not name.startswith(tuple(FORMATS)) or "scale" in name]
    rows = [[name, *(_cell(size[name]) for size in frauds.values())] for name in names]
    return _table(("fraud", *frauds), rows)


def _cell(found: Figures) -> str:
    """Pooled and least distance; what refuses it, where that is not the count of mismatches."""
    by = {"count": "", "rms": " *by rms*", "nothing": " **passes**"}[found["refused_by"]]
    return f"{found['pooled']:,.0f} ({found['least']:,}){by}"


def _sums(sums: list[Figures]) -> str:
    return _table(["sums in fp16, D", *(each["D"] for each in sums)], [["pooled", *(each["pooled"] for each in sums)]])


def _tail(tail: Figures) -> str:
    sizes = list(tail["careful"]["refused_by_rms"])
    head = ["farthest pair of", "leaves", "pooled", "most", "above the tolerance"]
    head += [f"{size} leaves refused by rms" for size in sizes] + [f"{size} leaves see an rms" for size in sizes]
    rows = []
    for name in ("careful", "careless"):
        each = tail[name]
        chances = [f"{chance:.0e}" for chance in each["refused_by_rms"].values()]
        seen = [f"{excess:.2f} × limit" for excess in each["rms_sees"].values()]
        rows.append([name, each["leaves"], each["pooled"], each["most"], each["above_tolerance"], *chances, *seen])
    return _table(head, rows)


def _sample(sample: Figures) -> str:
    head = ["checkers", *(f"{each:.1%}" for each in TOLD_INFLATIONS), "pays most at"]
    refused = [[n, *(f"{each:.3g}" for each in sample["refused"][n].values()), ""] for n in CHECKERS]
    credit = []
    for n in CHECKERS:
        at, earned = sample["best"][n]
        credit.append([n, *(f"{each:.4f}" for each in sample["credit"][n].values()), f"{at:.2%}: {earned - 1:+.3%}"])
    told = "\n".join(
        f"{name}: {sample[name]}" for name in ("mismatches_refused", "honest_refused_by_one", "smallest_sample")
    )
    return f"{told}\n\nRefused:\n\n{_table(head, refused)}\n\nMean credit:\n\n{_table(head, credit)}"


def _distances(size: str, honest: Figures, frauds: Mapping[str, Figures]) -> str:
    def row(name: str, each: Figures, colour: str) -> Range:
        return Range(name, max(each["least"], 1), max(each["median"], 1), max(each["most"], 1), colour)

    far, careless = honest["farthest"], honest["farthest_careless"]
    rows = [row(name, each, COLOURS[2]) for name, each in honest["machines"].items() if name != "fp32"]
    rows += [row("farthest pair", far, COLOURS[0]), row("farthest pair, careless", careless, COLOURS[0])]
    rows += [row(name, each, COLOURS[1]) for name, each in frauds.items() if not name.endswith(NOT_DRAWN)]
    axis = Axis(UNITS, 1, 1e5, logarithmic=True)
    title = f"Least, median and greatest distance from exact products, {size}"
    return range_chart(title, axis, rows, (LIMIT, TOLERANCE))


def _scaling(letter: str, points: list[tuple[int, Figures]]) -> str:
    points = sorted(points, key=lambda pair: pair[0])
    series = {
        "farthest pair": lambda each: each["farthest"]["pooled"],
        "farthest pair, careless ones too": lambda each: each["farthest_careless"]["pooled"],
        "fp16": lambda each: each["machines"]["fp16"]["pooled"],
        "TF32": lambda each: each["machines"]["TF32"]["pooled"],
    }
    lines = [Line(name, [(at, pick(each)) for at, each in points]) for name, pick in series.items()]
    axis = Axis(letter, points[0][0], points[-1][0], logarithmic=True, at=[at for at, _ in points])
    return line_chart(
        f"Pooled distance of honest machines by {letter}", axis, Axis(UNITS, 0, 60), lines, (LIMIT, TOLERANCE)
    )


def _layers(layers: list[Figures]) -> str:
    lines = [Line(kind, [(each["place"], each[kind]) for each in layers]) for kind in ("most", "median", "least")]
    ticks = range(0, len(layers), max(1, len(layers) // 8))
    place = Axis("the layer left out", 0, len(layers) - 1, at=ticks)
    title = f"Distance when one of {len(layers)} layers is left out"
    return line_chart(title, place, Axis(UNITS, 1, 1e5, logarithmic=True), lines, (LIMIT, TOLERANCE))


def _shares(shares: list[Figures]) -> str:
    lines = [Line(kind, [(each["share"], each[kind]) for each in shares]) for kind in ("most", "median", "least")]
    axis = Axis("share of the feed-forward left out in every layer", 1e-4, 1, logarithmic=True)
    title = "Distance by the share of the feed-forward left out"
    return line_chart(title, axis, Axis(UNITS, 1, 1e4, logarithmic=True), lines, (LIMIT, TOLERANCE))


def _tail_chart(tail: Figures) -> str:
    def line(name: str, kind: str) -> Line:
        counts = {int(at): count for at, count in tail[kind]["counts"].items()}
        falling = sorted(counts, reverse=True)
        rarer = accumulate(counts[at] for at in falling)
        return Line(name, [(at, count / tail[kind]["leaves"]) for at, count in zip(falling, rarer, strict=True)])

    lines = [line("farthest pair", "careful"), line("careless ones too", "careless")]
    x, y = Axis(UNITS, 0, 40), Axis("share of leaves at least so far", SMALLEST_CHANCE, 1, logarithmic=True)
    return line_chart(f"Distances of honest machines; the tolerance is {DEVNET.tolerance}", x, y, lines)


def _refused() -> str:
    curve = _by_checkers(lambda n, each: statistics.refusal(DEVNET, LEAVES, n, statistics.wrong_share(each)))
    x = Axis("inflation in per cent", 0.1, 10, logarithmic=True)
    return line_chart("Chance that an inflated count is refused", x, Axis("chance", 0, 1), curve, (Mark("0.99", 0.99),))


def _credit() -> str:
    curve = _by_checkers(lambda n, each: statistics.expected_credit(DEVNET, LEAVES, n, each))
    x, y = Axis("inflation in per cent", 0, 1), Axis("share of the true count", 0.99, 1.01)
    return line_chart("Mean credit of a slightly inflated count", x, y, curve, (Mark("the true count", 1.0),))


def _by_checkers(figure: Callable[[int, float], float]) -> list[Line]:
    """A figure by inflation, for each number of checkers."""
    return [
        Line("one checker" if n == 1 else f"{n} checkers", [(100 * each, figure(n, each)) for each in DRAWN_INFLATIONS])
        for n in CHECKERS
    ]
