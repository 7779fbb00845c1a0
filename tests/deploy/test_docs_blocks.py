"""Each block of commands on the pages for hosts is run by a shell as it is printed, in a copy of the deploy folders.

Compose, curl and the like are stand-ins that write down how they were called: what the shell makes of the text is the matter here.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.compose import DEPLOY
from tests.deploy.pages import PAGES, PLACEHOLDER, blocks_of
from tests.deploy.test_compose import settings

STAND_INS = ("docker", "curl", "pivot", "make", "git", "vllm")
STAND_IN = """#!/bin/bash
{ echo "$(basename "$0")" "${@@Q}"; env | grep -E '^(API_PORT|HF_HOME)=' | sort; true; } >> "$CALLS"
"""
MODELS = "/path/to/your/hf-cache"
PUBLISHED_COMMANDS = {
    "quickstart": (
        "source config.env && \\\ndocker compose -f docker-compose.yml up -d && \\\ndocker compose -f docker-compose.yml logs -f",
    ),
    "several-machines": (
        "docker compose -f docker-compose.yml up -d tmkms node api && \\\ndocker compose -f docker-compose.yml logs -f",
        "docker compose up -d && docker compose logs -f",
    ),
}
"""Of the guide, by page. Its network-node-only command has a backslash before `&&` and a blank after another: mended here."""
GUIDES_BROKEN_COMMAND = """\
source config.env && \\\x20
docker compose -f docker-compose.yml up -d tmkms node api \\ &&
docker compose -f docker-compose.yml logs -f
"""


@dataclass(frozen=True)
class Said:
    """What a block did: its exit code, and one line per call or variable seen."""

    code: int
    lines: list[str]


Shell = Callable[[str, Path], Said]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the deploy folders with a filled-in config.env."""
    root = tmp_path / "clone"
    shutil.copytree(DEPLOY, root / "deploy")
    template = (root / "deploy/join/config.env.template").read_text()
    for name, value in settings().items():
        template = re.sub(rf"^export {name}=.*$", f"export {name}={value}", template, flags=re.MULTILINE)
    (root / "deploy/join/config.env").write_text(template)
    (root / ".venv/bin").mkdir(parents=True)
    shutil.copy(DEPLOY.parent / "Makefile", root)
    return root


@pytest.fixture
def shell(clone: Path, tmp_path: Path) -> Shell:
    """Run a text in a folder, with the stand-ins before everything else on PATH."""
    places = [tmp_path / "bin", clone / ".venv/bin"]
    places[0].mkdir()
    for place in places:
        for name in STAND_INS:
            (place / name).write_text(STAND_IN)
            (place / name).chmod(0o755)

    def run(text: str, folder: Path) -> Said:
        calls = tmp_path / "calls"
        calls.write_text("")
        environment = {"PATH": f"{places[0]}:/usr/bin:/bin", "HOME": str(tmp_path), "CALLS": str(calls)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, capture_output=True, check=False
        )
        return Said(done.returncode, calls.read_text().splitlines())

    return run


def blocks() -> list[object]:
    return [
        pytest.param(page, text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks_of(page))
    ]


def folder_of(clone: Path, text: str) -> Path:
    """Where the page says that a block is run: what Compose is told without -f is of an ML node's server."""
    if text.startswith("cd ") or ".venv" in text:
        return clone
    ml_node = re.search(r"^docker compose (?!-f docker-compose.yml)", text, re.MULTILINE) or "> .env" in text
    return clone / "deploy" / ("inference" if ml_node else "join")


@pytest.mark.parametrize(("page", "text"), blocks())
def test_a_block_is_what_a_shell_takes(page: Path, text: str, clone: Path, shell: Shell) -> None:
    said = shell(PLACEHOLDER.sub("1", text), folder_of(clone, text))
    assert said.code == 0
    commands = [line for line in text.splitlines() if re.match(r"(docker|curl|pivot|make|git|vllm|\.venv)\b", line)]
    assert len([line for line in said.lines if "=" not in line.split()[0]]) >= len(commands)


@pytest.mark.parametrize(
    ("page", "command"), [(page, command) for page, found in PUBLISHED_COMMANDS.items() for command in found]
)
def test_a_command_of_the_guide_stands_on_its_page(page: str, command: str) -> None:
    [found] = [each for each in PAGES if each.stem == page]
    assert command in found.read_text()


def test_compose_sees_the_settings_that_were_sourced(clone: Path, shell: Shell) -> None:
    [command] = PUBLISHED_COMMANDS["quickstart"]
    said = shell(command, clone / "deploy/join")
    assert said.lines == [
        *("docker 'compose' '-f' 'docker-compose.yml' 'up' '-d'", "API_PORT=8000", "HF_HOME=/mnt/shared"),
        *("docker 'compose' '-f' 'docker-compose.yml' 'logs' '-f'", "API_PORT=8000", "HF_HOME=/mnt/shared"),
    ]


def test_the_guides_network_node_only_command_is_no_command(clone: Path, shell: Shell) -> None:
    assert shell(GUIDES_BROKEN_COMMAND, clone / "deploy/join").code != 0


def test_the_settings_of_an_ml_node_are_in_the_file_that_compose_reads(clone: Path, shell: Shell) -> None:
    [page] = [each for each in PAGES if each.stem == "several-machines"]
    [text] = [text for text in blocks_of(page) if "> .env" in text]
    shell(text, clone / "deploy/inference")
    written = (clone / "deploy/inference/.env").read_text()
    assert written == f"PRIVATE_ADDRESS=10.0.0.11\nHF_HOME={MODELS}\n"
    assert "deploy/*/.env" in (DEPLOY.parent / ".gitignore").read_text()
