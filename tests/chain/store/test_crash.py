"""kill -9 at any moment: what was answered is there, and what is there is a whole block."""

import random
import subprocess
import sys
from pathlib import Path

from pivot.chain.store.database import Database, ReadOnlyDatabase
from pivot.chain.store.memory import MemoryDatabase
from tests.chain.store.committer import STORES, block

ROOT = Path(__file__).resolve().parents[3]
KILLS = 6


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chain.store.committer", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_no_answered_commit_is_lost_and_no_half_block_is_kept(tmp_path: Path) -> None:
    source = random.Random(1)
    expected = MemoryDatabase(STORES)
    hashes: dict[int, str] = {0: expected.app_hash.hex()}
    answered = 0
    for _ in range(KILLS):
        with start(tmp_path) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(source.randint(1, 25))]
            process.kill()
            lines += process.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n")]
        answered = max(answered, *(int(height) for height, _ in told))
        with Database.open(tmp_path, STORES) as database:  # reads all rows and compares them with the app hash
            assert answered <= database.height <= answered + 1
            while expected.height < database.height:
                following = expected.height + 1
                expected.stage(following, block(following))
                expected.commit()
                hashes[following] = expected.app_hash.hex()
            assert database.app_hash.hex() == hashes[database.height]
            answered = database.height
        assert all(hashes[int(height)] == app_hash for height, app_hash in told)


def test_another_process_reads_whole_blocks_while_they_are_committed(tmp_path: Path) -> None:
    expected = MemoryDatabase(STORES)
    with start(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen: dict[int, tuple[bytes, dict[str, dict[bytes, bytes]]]] = {}
        with ReadOnlyDatabase.open(tmp_path) as reader:
            while len(seen) < 15:
                process.stdout.readline()
                with reader.view() as view:
                    seen[view.height] = view.app_hash, {name: dict(view.iterate(name)) for name in STORES}
        process.kill()
        process.stdout.read()
    for height in range(1, max(seen) + 1):
        expected.stage(height, block(height))
        expected.commit()
        if height in seen:
            assert seen[height] == (expected.app_hash, {name: expected.view().rows[name] for name in STORES})
