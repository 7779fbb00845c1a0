"""The images themselves, built from local bases: who runs in them, what they hold, what they can write, that they are checked.

Runs where podman, podman-compose and the base images are, as `test_containers.py`; the CUDA image, some gigabytes, where
PIVOT_TEST_CUDA_IMAGE is set.
"""

import asyncio
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_models import MODEL, Hub, hub  # noqa: F401  a fixture
from tests.deploy.compose import DEPLOY
from tests.deploy.images import CUDA_IMAGE, CUDA_VARIABLE, IMAGES, build_image
from tests.deploy.local_bases import why_no_containers
from tests.deploy.podman import podman

REASON = why_no_containers()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]

WITHOUT_RIGHTS = (
    "--rm",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--no-healthcheck",
)
"""As the compose files run every service."""
LARGEST_IMAGE_MB = 700
"""With a base that is larger than the real one. The CUDA image is outside of this: torch's libraries alone are gigabytes."""
BUILD_TOOLS = {"uv", "go", "cargo", "gcc", "g++"}
COMPILERS = {"gcc", "g++"}
"""Stay in the CUDA image alone: Triton and FlashInfer build kernels for the cards that they find."""
LAUNCHER = """
#include <Python.h>
static struct PyModuleDef launcher = {PyModuleDef_HEAD_INIT, "launcher", "built here"};
PyMODINIT_FUNC PyInit_launcher(void) { return PyModule_Create(&launcher); }
"""
BUILD_LAUNCHER = f"""
from triton.runtime.build import compile_module_from_src
module = compile_module_from_src({LAUNCHER!r}, "launcher")
print(module.__doc__, module.__file__)
"""
LIST_PACKAGES = """
import importlib.metadata as m, json
print(json.dumps({each.name: each.version for each in m.distributions(path=["/opt/pivot/lib/python3.11/site-packages"])}))
"""
QUICKSTART = (DEPLOY.parent / "docs" / "hosts" / "quickstart.md").read_text()
BUILT = IMAGES | (CUDA_IMAGE if os.environ.get(CUDA_VARIABLE) else {})


@pytest.fixture(scope="module", params=sorted(BUILT))
def image(request: pytest.FixtureRequest) -> str:
    """Each image, built."""
    target: str = request.param
    build_image(target)
    return BUILT[target]


def run(image: str, *command: str, options: tuple[str, ...] = ("--network=none",), check: bool = True) -> Any:
    """A command in the image, in place of what it starts."""
    first, *rest = command
    return podman("run", *WITHOUT_RIGHTS, *options, f"--entrypoint={first}", image, *rest, check=check)


def test_it_runs_an_account_without_rights_is_checked_and_holds_no_more_than_it_needs(image: str) -> None:
    [found] = json.loads(podman("image", "inspect", image).stdout)
    config = found["Config"]
    assert config["User"] == "pivot"
    assert found["Healthcheck"]["Test"][0] == "CMD"
    assert image in CUDA_IMAGE.values() or found["Size"] < LARGEST_IMAGE_MB * 10**6
    assert not [name for name in config["Env"] if re.search("TOKEN|KEY|PASSWORD|SECRET", name)]
    assert run(image, "id", "-u").stdout.strip() == "10001"
    tools = run(image, "sh", "-c", f"command -v {' '.join(sorted(BUILD_TOOLS))}", check=False)
    present = {Path(line).name for line in tools.stdout.split()}
    assert present == (COMPILERS if image in CUDA_IMAGE.values() else set()), "tools of the build stay behind"


def test_it_works_on_a_root_that_it_cannot_write(image: str) -> None:
    assert "Usage: pivot" in run(image, "pivot", "--help").stdout
    for place in ("/opt/pivot", "/usr/local/bin", "/etc"):
        assert run(image, "touch", f"{place}/x", check=False).returncode != 0


def test_its_packages_are_those_of_the_lock(image: str) -> None:
    lock = tomllib.loads((DEPLOY.parent / "uv.lock").read_text())
    locked = {(each["name"], each["version"]) for each in lock["package"]}
    found = json.loads(run(image, "/opt/pivot/bin/python", "-c", LIST_PACKAGES).stdout)
    assert len(found) > 30
    for name, version in found.items():
        assert (re.sub(r"[-_.]+", "-", name).lower(), version) in locked
    assert not {"pytest", "mypy", "ruff"} & found.keys(), "what only developers need stays behind"


@pytest.mark.skipif(not os.environ.get(CUDA_VARIABLE), reason=f"{CUDA_VARIABLE} is not set")
def test_the_cuda_image_has_vllm_and_builds_what_it_needs_where_it_may_write() -> None:
    build_image("mlnode-cuda")
    [image], vllm = CUDA_IMAGE.values(), "/opt/vllm/bin/python"
    assert run(image, vllm, "-c", "import vllm; print(vllm.__version__)").stdout.strip()
    assert run(image, vllm, "-c", BUILD_LAUNCHER).stdout.startswith("built here /var/lib/pivot/cache/triton/")
    assert run(image, "python", "-c", "import torch", check=False).returncode, "torch is there once"


async def test_model_weights_are_fetched_with_the_command_of_the_quickstart(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    [line] = re.findall(r"docker compose .* run --rm (.*) inference (models pull) \S+ (.*)", QUICKSTART)
    options, command, cache = line
    options = options.replace('"$(id -u)"', str(os.getuid())).replace('"$HF_HOME:/fill"', f"{tmp_path}:/fill")
    await asyncio.to_thread(build_image, "mlnode-cpu")
    await asyncio.to_thread(
        podman,
        "run",
        *WITHOUT_RIGHTS,
        *options.split(),
        "--network=host",
        f"--env=HF_ENDPOINT={os.environ['HF_ENDPOINT']}",
        IMAGES["mlnode-cpu"],
        *command.split(),
        MODEL,
        *cache.split(),
    )
    assert sorted(hub.fetched) == sorted(hub.files)
    assert await asyncio.to_thread((tmp_path / "models--Qwen--Tiny-Instruct").is_dir)
