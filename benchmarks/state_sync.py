"""How long a snapshot of the state takes, how long a restore of it, and how much later blocks are while it is taken.

Blocks as in benchmarks/store.py (1,000 changed keys, 21-byte keys, 100-byte values, fsync on), one every BLOCK_SECONDS.

    python benchmarks/state_sync.py --keys 100000 --json
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import zstandard
from store import (
    KEY_SIZE,
    LOADED_AT_ONCE,
    STORE,
    VALUE_SIZE,
    Figures,
    block_of_changes,
    clock,
    machine,
    milliseconds,
    print_table,
    versions,
)

from pivot.chain.run import log_json_lines
from pivot.chain.store.database import Database
from pivot.chain.store.snapshot_taker import SnapshotTaker, snapshot_folder

BLOCK_SECONDS = 0.2
BLOCKS = 20  # without, and as many with a snapshot after every INTERVAL
INTERVAL = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keys", type=int, nargs="+", default=[100_000], help="sizes of the state")
    arguments.add_argument("--folder", type=Path, help="where to put the states for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    log_json_lines()
    results = []
    for keys in options.keys:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results.append(measure(Path(folder), keys))
    if options.json:
        told = {"benchmark": "state_sync", "results": results, "machine": machine()}
        print(json.dumps({**told, "versions": {**versions(), "zstandard": zstandard.__version__}}))
    else:
        print_table(results)


def measure(folder: Path, keys: int) -> Figures:
    """Fill a state, make blocks without and with snapshots under way, then restore it into an empty state."""
    source = random.Random(keys)
    home = folder / "source"
    with Database.open(home, [STORE]) as database:
        known: list[bytes] = []
        while len(known) < keys:
            new = [source.randbytes(KEY_SIZE) for _ in range(min(LOADED_AT_ONCE, keys - len(known)))]
            database.stage(database.height + 1, {STORE: {key: source.randbytes(VALUE_SIZE) for key in new}})
            database.commit()
            known += new
        alone = [block(database, source, known) for _ in range(BLOCKS)]
        with SnapshotTaker(home, INTERVAL, keep=1) as taker:
            beside = [block(database, source, known, taker) for _ in range(BLOCKS)]
        folder_of_snapshots = snapshot_folder(home)
        if not folder_of_snapshots.heights():
            raise RuntimeError("no snapshot was taken")
        with clock() as taking, database.view() as view:
            manifest = folder_of_snapshots.take(view)
    chunks = [folder_of_snapshots.chunk(manifest.height, index) or b"" for index in range(len(manifest.chunks))]
    with Database.open(folder / "target", [STORE]) as target:
        with clock() as restoring:
            restoration = target.restore(manifest)
            for chunk in chunks:
                restoration.write(chunk)
            restoration.finish()
        if target.app_hash != manifest.app_hash:
            raise RuntimeError("the restored state is another one")
    usual = statistics.median(alone)
    return {
        "keys": keys,
        "chunks": len(chunks),
        "snapshot_mb": round(sum(map(len, chunks)) / 1e6, 1),
        "take_s": round(taking[0], 2),
        "restore_s": round(restoring[0], 2),
        "usual_block_ms": milliseconds(usual),
        "usual_slowest_ms": milliseconds(max(alone)),
        "beside_block_ms": milliseconds(statistics.median(beside)),
        "longest_delay_ms": milliseconds(max(beside) - usual),
    }


def block(database: Database, source: random.Random, known: list[bytes], taker: SnapshotTaker | None = None) -> float:
    """Make and commit a block, then wait for the next one's time. Returns the seconds that it took."""
    changes = block_of_changes(source, known)
    begin = time.perf_counter()
    database.stage(database.height + 1, {STORE: changes})
    if taker is not None:
        taker.before_commit()
    database.commit()
    if taker is not None:
        taker.after_commit(database.height)
    taken = time.perf_counter() - begin
    time.sleep(max(0.0, BLOCK_SECONDS - taken))
    return taken


if __name__ == "__main__":
    sys.exit(main())
