"""What a commit, a proof and an opening of the state store cost as the state grows.

Blocks of 1,000 changed keys (half updates, 4 in 10 inserts, 1 in 10 deletes), 21-byte keys, 100-byte values, fsync on. The app
hash (`stage`) is told in CPU time, everything else by the clock.

    python benchmarks/store.py --keys 10000 100000 --json
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from report import machine, print_table, versions

from pivot.chain.store.database import Database

STORE = "inference"
KEY_SIZE = 21  # bytes
VALUE_SIZE = 100  # bytes
CHANGES = 1_000  # keys of a block
LOADED_AT_ONCE = 100_000  # keys of a block while the state is being filled
BLOCKS = 20
PROOFS = 1_000

Figures = dict[str, int | float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--keys", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="sizes of the state"
    )
    arguments.add_argument("--folder", type=Path, help="where to put the state for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = []
    for keys in options.keys:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results.append(measure(Path(folder), keys))
    if options.json:
        print(
            json.dumps({"benchmark": "store", "results": results, "machine": machine(), "versions": versions("lmdb")})
        )
    else:
        print_table(results)


def measure(folder: Path, keys: int) -> Figures:
    """Fill a state with this many keys, then time blocks, proofs and the next opening."""
    source = random.Random(keys)
    with Database.open(folder, [STORE]) as database:
        known: list[bytes] = []
        while len(known) < keys:
            new = [source.randbytes(KEY_SIZE) for _ in range(min(LOADED_AT_ONCE, keys - len(known)))]
            database.stage(database.height + 1, {STORE: {key: source.randbytes(VALUE_SIZE) for key in new}})
            database.commit()
            known += new
    memory_before = resident_memory()
    with clock() as opening:
        database = Database.open(folder, [STORE])
    memory = resident_memory() - memory_before
    with database:
        stage_times, commit_times = [], []
        for _ in range(BLOCKS):
            changes = block_of_changes(source, known)
            with clock(time.process_time) as stage:
                database.stage(database.height + 1, {STORE: changes})
            with clock() as commit:
                database.commit()
            stage_times.append(stage[0])
            commit_times.append(commit[0])
        present = source.sample(known, PROOFS)
        with clock() as proofs:
            for key in present:
                database.prove(STORE, key)
    return {
        "keys": keys,
        "changed_keys": CHANGES,
        "stage_ms": milliseconds(statistics.median(stage_times)),
        "commit_ms": milliseconds(statistics.median(commit_times)),
        "block_ms": milliseconds(
            statistics.median(sum(times) for times in zip(stage_times, commit_times, strict=True)),
        ),
        "slowest_block_ms": milliseconds(max(sum(times) for times in zip(stage_times, commit_times, strict=True))),
        "proof_us": round(proofs[0] / PROOFS * 1e6, 1),
        "open_s": round(opening[0], 2),
        "open_memory_mb": round(memory / 1e6, 1),
        "file_mb": round((folder / "data.mdb").stat().st_blocks * 512 / 1e6, 1),
    }


def block_of_changes(source: random.Random, known: list[bytes]) -> dict[bytes, bytes | None]:
    """One block's changes; `known` follows them."""
    changes: dict[bytes, bytes | None] = {}
    for _ in range(CHANGES // 10):
        position = source.randrange(len(known))
        known[position], known[-1] = known[-1], known[position]
        changes[known.pop()] = None
    for key in source.sample(known, CHANGES // 2):
        changes[key] = source.randbytes(VALUE_SIZE)
    for _ in range(CHANGES * 4 // 10):
        key = source.randbytes(KEY_SIZE)
        changes[key] = source.randbytes(VALUE_SIZE)
        known.append(key)
    return changes


@contextmanager
def clock(now: Callable[[], float] = time.perf_counter) -> Iterator[list[float]]:
    """Seconds that the body took, as the only element of the list, once it is done."""
    seconds: list[float] = []
    start = now()
    yield seconds
    seconds.append(now() - start)


def milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 1)


def resident_memory() -> int:
    """Bytes of anonymous memory of this process (the map of the file is not counted)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
