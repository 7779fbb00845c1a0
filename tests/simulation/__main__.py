"""`make simulate SEEDS= BLOCKS= OPS=`: runs seeds 1 to SEEDS, prints what they came to, and of a failing one the shortest list of operations."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.simulation.run import Run, shortest_failing, simulate
from tests.simulation.stores import both, in_memory, on_disk

STORES = {"memory": lambda _: in_memory(), "disk": on_disk, "both": both}


def main() -> int:
    """Returns 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--ops", type=int, default=100, help="operations in each block")
    parser.add_argument("--store", choices=sorted(STORES), default="both")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="seeds at the same time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    accepted: Counter[str] = Counter()
    runs = []
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        for run, seconds in pool.map(partial(_run, options=options), seeds):
            accepted.update(run.accepted)
            runs.append(
                {
                    "seed": run.seed,
                    "blocks": len(run.app_hashes),
                    "app_hash": run.app_hashes[-1].hex() if run.app_hashes else "",
                    "accepted": run.accepted.total(),
                    "refused": run.refused.total(),
                    "seconds": seconds,
                    "failure": run.failure and run.failure.error,
                }
            )
            if not options.json:
                print(
                    *(f"{name} {value}" for name, value in runs[-1].items() if value is not None), sep=", ", flush=True
                )
            if run.failure is not None:
                _tell_shortest(run)
    if options.json:
        print(json.dumps({"runs": runs, "messages": dict(sorted(accepted.items()))}))
    else:
        print(*(f"{count:8} {url}" for url, count in sorted(accepted.items())), sep="\n")
    return int(any(run["failure"] for run in runs))


def _run(seed: int, options: argparse.Namespace) -> tuple[Run, float]:
    """The run of one seed, and the seconds that it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = simulate(seed, options.blocks, options.ops, STORES[options.store](Path(folder)))
    return run, round(time.monotonic() - began, 1)


def _tell_shortest(run: Run) -> None:
    assert run.failure is not None
    print(f"seed {run.seed} fails at block {run.failure.height}: {run.failure.error}", file=sys.stderr)
    fewest = shortest_failing(run.failure, in_memory)
    print("the fewest operations that show it:", *(f"  {each}" for each in fewest), sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
