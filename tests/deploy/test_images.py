"""The Dockerfile: what is pinned, who runs, and that its versions are those that the code was tested with."""

import re
import runpy
import socket
import subprocess
import sys
import tomllib
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
IMAGES = ("node", "tmkms", "api", "mlnode-cpu", "mlnode-cuda")


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
    assert len(syncs) == 5
    assert all(options.startswith("--frozen") for options in syncs)
    assert DOCKERFILE.count("pip install") == 1, "uv itself, by its version"


def test_what_builds_the_package_is_pinned() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    pinned = project["tool"]["uv"]["build-constraint-dependencies"]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", each) for each in pinned)
    assert {each.partition("==")[0] for each in pinned} >= set(project["build-system"]["requires"])


def test_every_image_runs_an_account_without_rights() -> None:
    for name in IMAGES:
        assert "USER" not in STAGES[name]
    assert "\nUSER pivot\n" in STAGES["base"]
    assert 'ENTRYPOINT ["pivot"]' in STAGES["base"]


def test_every_image_has_a_health_check() -> None:
    for name in ("node", "tmkms", "api", "mlnode"):
        assert "HEALTHCHECK" in STAGES[name]
    assert "FROM mlnode AS mlnode-cpu" in DOCKERFILE
    assert "FROM mlnode AS mlnode-cuda" in DOCKERFILE


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
