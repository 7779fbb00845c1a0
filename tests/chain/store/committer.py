"""Commits blocks for ever and says so, until somebody kills it: `python -m tests.chain.store.committer FOLDER`."""

import random
import sys
from pathlib import Path

from pivot.chain.store.database import Database
from tests.chain.store.rows import Changes, random_changes

STORES = ("acc", "bank", "inference")


def block(height: int) -> dict[str, Changes]:
    """The changes of one height, the same in every process."""
    source = random.Random(height)
    return {name: random_changes(source, 40) for name in STORES}


def commit_for_ever(folder: Path) -> None:
    with Database.open(folder, STORES) as database:
        while True:
            height = database.height + 1
            database.stage(height, block(height))
            database.commit()
            sys.stdout.write(f"{height} {database.app_hash.hex()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    commit_for_ever(Path(sys.argv[1]))
