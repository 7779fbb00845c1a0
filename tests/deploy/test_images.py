"""The Dockerfile: what is pinned, who runs, and that its versions are those that the code was tested with."""

import re
import runpy
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from pivot.node.engine import ENGINE_VERSION
from pivot.node.signer import SIGNER_FEATURES, SIGNER_VERSION
from tests.deploy.compose import DEPLOY

DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text()
MAKEFILE = (DEPLOY.parent / "Makefile").read_text()
ARGUMENTS = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
STAGES = {
    found["name"]: found["body"]
    for found in re.finditer(
        r"^FROM \S+ AS (?P<name>\S+)\n(?P<body>.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
}
PARENTS = {name: parent for parent, name in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)}
IMAGES = ("node", "tmkms", "api", "mlnode-cpu", "mlnode-cuda")


def recipe(name: str) -> str:
    """All that makes an image, from its base on."""
    below = recipe(PARENTS[name]) if PARENTS[name] in STAGES else ""
    return below + STAGES[name]


def variables(name: str) -> dict[str, str]:
    """The environment of an image."""
    lines = re.findall(r"^ENV ((?:.*\\\n)*.*)", recipe(name), re.MULTILINE)
    return dict(word.split("=", 1) for line in lines for word in line.replace("\\\n", " ").split())


def test_every_image_of_the_compose_files_has_its_stage() -> None:
    assert STAGES.keys() >= set(IMAGES)


def test_the_versions_are_those_that_the_code_asks_for() -> None:
    assert ARGUMENTS["ENGINE_VERSION"] == ENGINE_VERSION
    assert ARGUMENTS["SIGNER_VERSION"] == SIGNER_VERSION
    assert f"--features {SIGNER_FEATURES} --locked" in STAGES["signer"]
    assert f"UV_VERSION := {ARGUMENTS['UV_VERSION']}" in MAKEFILE


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name.endswith("_IMAGE")])
def test_every_base_is_pinned_by_its_version(name: str) -> None:
    assert re.fullmatch(r"docker\.io/library/\w+:\d+\.\d+\.\d+-[\w-]+", ARGUMENTS[name])


def test_everything_of_python_comes_from_the_lock() -> None:
    syncs = re.findall(r"uv sync (.*)", DOCKERFILE)
    assert len(syncs) == 3
    assert all(options.startswith("--frozen") for options in syncs)
    assert re.findall(r"uv pip sync (.*)", DOCKERFILE) == ["--python /opt/vllm --require-hashes --no-build vllm.lock"]
    assert DOCKERFILE.count("pip install") == 1, "uv itself, by its version"


def test_what_builds_the_package_is_pinned() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    pinned = project["tool"]["uv"]["build-constraint-dependencies"]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", each) for each in pinned)
    assert {each.partition("==")[0] for each in pinned} >= set(project["build-system"]["requires"])


def test_every_image_runs_an_account_without_rights() -> None:
    for name in IMAGES:
        assert re.findall(r"^USER (.*)$", recipe(name), re.MULTILINE)[-1] == "pivot"
    assert 'ENTRYPOINT ["pivot"]' in STAGES["base"]


def test_every_image_has_a_health_check() -> None:
    for name in IMAGES:
        assert recipe(name).count("HEALTHCHECK") == 1


def test_vllm_and_the_sprint_share_one_torch_of_the_cuda_image() -> None:
    cuda, cpu = variables("mlnode-cuda"), variables("mlnode-cpu")
    assert cuda["MLNODE_VLLM_PYTHON"] == cuda["MLNODE_POC_PYTHON"] == "/opt/vllm/bin/python"
    assert cuda["PATH"] == "$PATH:/opt/vllm/bin", "Pivot's own interpreter comes first"
    assert "--extra" not in DOCKERFILE
    assert {name for name in IMAGES if "/opt/vllm" in recipe(name)} == {"mlnode-cuda"}
    assert not {name for name in cpu if name.startswith(("MLNODE_VLLM", "MLNODE_POC"))}


def test_the_cuda_image_has_a_compiler_and_keeps_what_it_builds_in_its_volume() -> None:
    assert {name for name in IMAGES if "gcc" in recipe(name)} == {"mlnode-cuda"}
    assert "VOLUME /var/lib/pivot" in recipe("mlnode-cuda")
    places = variables("mlnode-cuda")
    for name in (
        "HOME",
        "XDG_CACHE_HOME",
        "TRITON_CACHE_DIR",
        "TORCHINDUCTOR_CACHE_DIR",
        "VLLM_CACHE_ROOT",
        "MLNODE_STATE_DIR",
    ):
        assert Path(places[name]).is_relative_to("/var/lib/pivot")


def test_flashinfer_finds_cudas_compiler_in_the_cuda_image() -> None:
    version, _, _ = ARGUMENTS["PYTHON_IMAGE"].partition(":")[2].split("-")
    packages = f"/opt/vllm/lib/python{version.rpartition('.')[0]}/site-packages"
    assert variables("vllm")["CUDA_HOME"] == variables("mlnode-cuda")["CUDA_HOME"] == f"{packages}/nvidia/cu13"


def test_the_signer_is_healthy_while_it_is_connected_to_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    health = SimpleNamespace(**runpy.run_path(str(DEPLOY / "docker" / "signer_health.py")))
    assert f"node:{health.NODE_PORT}" in STAGES["tmkms"]
    with socket.create_server(("127.0.0.1", 0)) as node:
        address = node.getsockname()
        monkeypatch.setitem(health.connected.__globals__, "NODE_PORT", address[1])
        assert not health.connected()
        with socket.create_connection(address):
            assert health.connected()


def test_only_what_an_image_needs_reaches_its_build() -> None:
    first, *kept = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().split()
    assert first == "*"
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert {name.removeprefix("!") for name in kept if name.startswith("!")} == copied
    assert all((DEPLOY.parent / source).exists() for source in copied)


@pytest.mark.parametrize("command", ["node join", "node run", "node signer", "api run", "mlnode run"])
def test_what_an_image_starts_needs_no_other_command_loaded_before(command: str) -> None:
    words = [sys.executable, "-m", "pivot.cli", *command.split(), "--help"]
    assert command in DOCKERFILE.replace('", "', " ")
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
