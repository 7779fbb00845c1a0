"""The lock of the CUDA image's vLLM: what is pinned, by what, and for which Python and C library."""

import re

from pivot.doctor.machine import MIN_DRIVER
from pivot.mlnode.engines.vllm.engine import OLDEST
from tests.deploy.compose import DEPLOY
from tests.deploy.test_images import ARGUMENTS, MAKEFILE

HEAD, *ENTRIES = re.split(r"^(?=\w)", (DEPLOY / "docker" / "vllm.lock").read_text(), flags=re.MULTILINE)
WANTED = (DEPLOY / "docker" / "vllm.in").read_text()
PINNED = dict(entry.split()[0].split("==") for entry in ENTRIES)
[RECIPE] = re.findall(r"^lock-vllm:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
GLIBC = {"bookworm": "2_36"}
"""Of Debian's releases."""
FIRST_DRIVER = {12: 525, 13: 580}
"""Of CUDA's releases, as NVIDIA's release notes have it."""


def release(name: str) -> tuple[int, ...]:
    """Major and minor version of what is pinned."""
    return tuple(int(part) for part in PINNED[name].split(".")[:2])


def test_every_package_is_pinned_by_version_and_hash() -> None:
    pinned = re.compile(r"[\w.-]+==[\w.+-]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
    assert [entry for entry in ENTRIES if not pinned.fullmatch(entry)] == []
    assert len(PINNED) == len(ENTRIES) > 100


def test_the_lock_names_the_command_that_makes_it_and_nothing_of_the_machine_where_it_ran() -> None:
    assert "make lock-vllm" in HEAD
    assert all(line.startswith("#") for line in HEAD.splitlines())
    assert "/" not in HEAD
    assert f"{DEPLOY.name}/docker/vllm.in --output-file {DEPLOY.name}/docker/vllm.lock" in RECIPE


def test_it_pins_a_vllm_that_the_engine_knows() -> None:
    [wanted] = re.findall(r"^vllm==(\d+\.\d+)\.\*$", WANTED, re.MULTILINE)
    assert PINNED["vllm"].startswith(f"{wanted}.")
    assert release("vllm") >= OLDEST


def test_it_is_made_for_the_python_and_the_c_library_of_the_images() -> None:
    version, _, debian = ARGUMENTS["PYTHON_IMAGE"].partition(":")[2].split("-")
    assert f"--python-version {version.rpartition('.')[0]} " in RECIPE
    assert f"--python-platform x86_64-manylinux_{GLIBC[debian]}\n" in RECIPE


def test_what_builds_kernels_is_of_one_release_with_what_runs_them() -> None:
    assert release("nvidia-cuda-nvcc") == release("nvidia-cuda-runtime") == release("cuda-toolkit")
    assert release("cuda-python") == release("cuda-bindings")
    assert {"torch", "triton", "numpy"} <= PINNED.keys()


def test_the_doctor_asks_for_a_driver_that_runs_it() -> None:
    assert FIRST_DRIVER[release("cuda-toolkit")[0]] == MIN_DRIVER
