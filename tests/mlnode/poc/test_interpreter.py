"""The sprint in an interpreter that has numpy and nothing of Pivot's, as vLLM's may be."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.poc import interpreter
from pivot.mlnode.poc.interpreter import command, has_torch
from pivot.mlnode.poc.work import Work
from pivot.mlnode.poc.worker import WORKER_MODULE, Worker
from tests.mlnode.poc.test_worker import HOST, PRESET, SEED, is_close

NUMPY = Path(np.__file__).parent
PACKAGES_OF_WORKERS = ["numpy", "pivot"]
LIST_PACKAGES = f"""
import sys
before = set(sys.modules)
import {WORKER_MODULE}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(loaded - sys.stdlib_module_names))
"""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The packages of an environment of its own, which has none."""
    venv.create(tmp_path, with_pip=False, symlinks=True)
    [packages] = tmp_path.glob("lib/python*/site-packages")
    return packages


@pytest.fixture
def bare(empty: Path) -> Path:
    """The same with numpy."""
    for name in ("numpy", "numpy.libs"):
        if (found := NUMPY.parent / name).exists():
            (empty / name).symlink_to(found)
    return empty


def python_of(packages: Path) -> str:
    return str(packages.parents[2] / "bin" / "python")


def give(packages: Path, name: str) -> None:
    (packages / f"{name}.py").write_text("raise ImportError('to be found, not to be imported')\n")


def test_a_worker_needs_numpy_and_nothing_else(bare: Path) -> None:
    listing = [python_of(bare), "-P", "-c", LIST_PACKAGES]
    pivot_alone = {"PYTHONPATH": str(interpreter.SOURCES)}
    told = subprocess.run(listing, env=pivot_alone, capture_output=True, text=True, check=True)
    assert told.stdout.split() == PACKAGES_OF_WORKERS


async def test_a_worker_computes_in_another_interpreter_with_the_nodes_own_sources(bare: Path) -> None:
    work = Work()
    worker = Worker(work, PRESET, SEED, python=python_of(bare), first_pause_s=0.001)
    worker.start()
    try:
        assert is_close(await work.add(HOST, [0, 7]), [0, 7])
        assert worker.restarts == 0
    finally:
        await worker.stop()


def test_its_own_packages_come_before_those_of_the_node(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "SOURCES", bare.parents[2] / "node")
    for folder, text in ((interpreter.SOURCES, "of the node"), (bare, "its own")):
        folder.mkdir(exist_ok=True)
        (folder / "whose.py").write_text(f"print({text!r})\n")
    told = subprocess.run(command(python_of(bare), "whose"), capture_output=True, text=True, check=True)
    assert told.stdout == "its own\n"


def test_the_nodes_own_interpreter_is_run_as_it_is() -> None:
    assert command(sys.executable, WORKER_MODULE) == [sys.executable, "-m", WORKER_MODULE]


async def test_torch_is_looked_for_where_it_would_be_used(bare: Path) -> None:
    assert not await has_torch(python_of(bare))
    give(bare, "torch")
    assert await has_torch(python_of(bare))


async def test_torch_without_numpy_is_of_no_use(empty: Path) -> None:
    give(empty, "torch")
    assert not await has_torch(python_of(empty))


@pytest.mark.parametrize("python", ["/nowhere/python", "/dev/null"])
async def test_what_cannot_be_run_has_no_torch(python: str) -> None:
    assert not await has_torch(python)


async def test_what_does_not_answer_has_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "LOOK_TIMEOUT_S", 0.1)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o700)
    assert not await has_torch(str(silent))
