"""Measures what the proof of compute rests on, and draws the figures of docs/protocol/poc.md.

    python -m benchmarks.poc_science --json poc.json --plots docs/protocol/poc/
    python -m benchmarks.poc_science --device cuda --preset mainnet

Without `--preset` the sizes of the page are measured: some ten minutes on a free core with torch. The parts
that need no measurement, what a sample proves, are exact.
"""

import argparse
import json
import sys
from importlib import util
from pathlib import Path

from benchmarks.poc_science.figures import draw, tables
from benchmarks.poc_science.measurements import FULL, QUICK, Plan, measure, of_preset
from pivot.protocol.sprint import SPRINT_PRESETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model, to see that all of it runs")
    parser.add_argument("--preset", choices=sorted(SPRINT_PRESETS), help="only this size")
    parser.add_argument("--nonces", type=int, default=16, help="of a preset")
    parser.add_argument("--device", help="numpy, or a device of torch's (cpu, cuda); torch's cpu where there is torch")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--plots", type=Path, help="the folder to draw into")
    options = parser.parse_args()
    device = options.device or ("cpu" if util.find_spec("torch") else "numpy")
    figures = {"device": device, **measure(plan(options), device, lambda what: print(what, file=sys.stderr))}
    print(tables(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, svg in draw(figures).items():
            (options.plots / f"{name}.svg").write_text(svg)


def plan(options: argparse.Namespace) -> Plan:
    if options.preset:
        return of_preset(SPRINT_PRESETS[options.preset], options.nonces)
    return QUICK if options.quick else FULL


if __name__ == "__main__":
    main()
