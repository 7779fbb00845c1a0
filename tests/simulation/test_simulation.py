"""Whole runs. They are made in processes of their own, as `make simulate` makes them."""

import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from pivot.chain.registry import MESSAGES
from tests.simulation.plan import Operation
from tests.simulation.run import shortest_failing, simulate
from tests.simulation.stores import in_memory, on_disk

ROOT = Path(__file__).parents[2]
SEEDS, BLOCKS, OPERATIONS = 5, 200, 100


def run(*arguments: str, python: str = sys.executable, **environment: str) -> dict[str, Any]:
    """What `python -m tests.simulation --json` prints."""
    command = [python, "-m", "tests.simulation", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2_000:]
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.timeout(1_200)
def test_every_invariant_holds_after_every_block_and_every_message_was_accepted() -> None:
    made = run("--seeds", str(SEEDS), "--blocks", str(BLOCKS), "--ops", str(OPERATIONS))
    assert [each["blocks"] for each in made["runs"]] == [BLOCKS + 1] * SEEDS
    assert MESSAGES.all().keys() - made["messages"].keys() == set()


SMALL = ("--seeds", "1", "--blocks", "60", "--ops", "30", "--store")


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """A small run in an ordinary process."""
    return run(*SMALL, "memory", PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")


def test_the_same_seed_gives_the_same_blocks_whatever_the_process_is_like(plain: dict[str, Any]) -> None:
    other = run(*SMALL, "disk", PYTHONHASHSEED="4242", TZ="Asia/Kathmandu", LC_ALL="tr_TR.UTF-8", LANG="tr_TR.UTF-8")
    assert plain["runs"][0]["app_hash"] == other["runs"][0]["app_hash"]
    assert plain["messages"] == other["messages"]


def test_another_patch_version_of_python_gives_the_same_blocks(plain: dict[str, Any]) -> None:
    other = other_patch_version()
    if other is None:
        pytest.skip(f"there is no other Python {sys.version_info.major}.{sys.version_info.minor} on this machine")
    packages = os.pathsep.join([str(ROOT / "src"), sysconfig.get_path("purelib")])
    theirs = run(*SMALL, "memory", python=other, PYTHONPATH=packages)
    assert plain["runs"][0]["app_hash"] == theirs["runs"][0]["app_hash"]


def other_patch_version() -> str | None:
    """An interpreter on this machine of the same minor and another patch version, which can load the same packages."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in [*os.get_exec_path(), "/usr/bin", "/usr/local/bin"]:
        found = Path(folder, name)
        if found.is_file() and not found.resolve().is_relative_to(ROOT):
            told = subprocess.run([found, "-V"], capture_output=True, text=True, check=False).stdout.split()
            if told and told[-1] != platform.python_version():
                return str(found)
    return None


def test_a_failing_run_is_told_by_its_fewest_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> list[bytes]:
        raise ArithmeticError("planted")

    monkeypatch.setitem(_kinds(), "garbage", (breaks, 1))
    failed = simulate(3, 8, 20, in_memory()).failure
    assert failed is not None
    assert "planted" in failed.error
    fewest = shortest_failing(failed, in_memory)
    assert fewest == [Operation(fewest[0].height, "garbage", fewest[0].seed)]


def test_a_run_on_disk_goes_on_after_restarts(tmp_path: Path) -> None:
    made = simulate(2, 30, 10, on_disk(tmp_path))
    assert made.failure is None
    assert len(made.app_hashes) == 31


def _kinds() -> dict[str, Any]:
    from tests.simulation import operations  # noqa: PLC0415  the table that this test changes

    return operations.KINDS  # type: ignore[return-value]  it is a dict underneath
