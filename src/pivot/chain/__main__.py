"""`python -m pivot.chain`: the chain application behind the engine's socket."""

import argparse
import os
import sys
from pathlib import Path

from pivot.chain.run import run

SNAPSHOTS_KEPT = 5


def main() -> int:
    """Read the command line and serve. Returns the exit status."""
    arguments = argparse.ArgumentParser(prog="python -m pivot.chain", description=__doc__)
    arguments.add_argument("--home", type=Path, required=True, help="folder of the state")
    arguments.add_argument("--socket", type=Path, required=True, help="unix socket that the engine connects to")
    arguments.add_argument(
        "--snapshot-interval",
        type=_count,
        default=os.environ.get("SNAPSHOT_INTERVAL") or "0",
        help="a snapshot of the state every so many blocks; 0: none (SNAPSHOT_INTERVAL)",
    )
    arguments.add_argument(
        "--snapshot-keep-recent",
        type=_count_from_one,
        default=os.environ.get("SNAPSHOT_KEEP_RECENT") or str(SNAPSHOTS_KEPT),
        help="how many snapshots to keep (SNAPSHOT_KEEP_RECENT)",
    )
    options = arguments.parse_args()
    return run(options.home, options.socket, options.snapshot_interval, options.snapshot_keep_recent)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _count_from_one(text: str) -> int:
    if not _count(text):
        raise argparse.ArgumentTypeError("at least 1 snapshot is kept")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
