"""The commands on the pages for hosts and developers: what they call exists, with the options that they give.

`docs/hosts/ml-nodes.md` is run by a shell as it is printed, by `tests/guide`.
"""

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import typer
from typer.core import TyperGroup

from pivot.api.http.admin import admin_app
from pivot.api.http.public import PublicApp
from pivot.api.inference.request import CHAT_PATH
from pivot.api.settings import ApiSettings
from pivot.cli import app
from tests.deploy.compose import DEPLOY, exports, load
from tests.deploy.pages import PAGES, Command, commands_of, without_options

NETWORK_NODE, ML_NODE = DEPLOY / "join", DEPLOY / "inference"
ENGINE_ROUTES = frozenset({"/status", "/net_info"})
"""Of CometBFT's RPC, on port 26657."""
ADMIN_PORT, CALLBACK_PORT, RPC_PORT = 9200, 9100, 26657
PUBLIC = "public"
SHELL = frozenset({"cd", "cp", "echo", "export", "git", "source"})
MAKEFILE = (DEPLOY.parent / "Makefile").read_text()


COMMANDS = [command for page in PAGES for command in commands_of(page)]


def of(*start: str) -> list[Any]:
    found = [command for command in COMMANDS if command.words[: len(start)] == start]
    return [pytest.param(command, id=str(command)) for command in found]


def pivot_commands() -> list[Any]:
    """`pivot …` here, in a checkout, or inside a service; `run` of Compose starts it by itself."""
    found = []
    for command in COMMANDS:
        names = [Path(word).name for word in command.words]
        if names[0] == "pivot" or (names[0] == "docker" and "exec" in names and "pivot" in names):
            found.append(Command(command.page, command.words[names.index("pivot") :]))
        elif names[0] == "docker" and "run" in names:
            _, *rest = without_options(command.words[names.index("run") + 1 :])
            found.append(Command(command.page, ("pivot", *rest)))
    return [pytest.param(command, id=str(command)) for command in found]


def test_every_page_has_commands_and_all_are_of_a_kind_that_is_checked() -> None:
    assert {command.page for command in COMMANDS} == {page.stem for page in PAGES}
    for command in COMMANDS:
        name = Path(command.words[0]).name
        assert name in {"pivot", "curl", "make", "vllm"} | SHELL or command.words[:2] == ("docker", "compose"), str(
            command
        )


@pytest.mark.parametrize("command", pivot_commands())
def test_a_pivot_command_is_one(command: Command) -> None:
    current: Any = typer.main.get_command(app)
    words = list(command.words[1:])
    context = typer.Context(current, info_name="pivot")
    while isinstance(current, TyperGroup):
        name, found, words = current.resolve_command(context, words)
        assert found is not None, name
        current = found
        context = typer.Context(current, parent=context, info_name=name)
    current.make_context(current.name, words, parent=context.parent)


@pytest.mark.parametrize("command", of("docker", "compose"))
def test_a_compose_command_names_files_and_services_that_exist(command: Command) -> None:
    words = list(command.words[2:])
    files = []
    while words[0] == "-f":
        files.append(words[1])
        words = words[2:]
    folder = NETWORK_NODE if not files or (NETWORK_NODE / files[0]).exists() else ML_NODE
    if not files:
        folder, files = ML_NODE, ["docker-compose.yml"]
    if files == ["docker-compose.cpu.yml"]:
        folder = ML_NODE
    filled = dict.fromkeys(exports(NETWORK_NODE / "config.env.template"), "1")
    services = {name for file in files for name in load(folder / file, filled)["services"]}
    action, *rest = words
    assert action in {"build", "up", "down", "ps", "logs", "stop", "start", "cp", "exec", "pull", "run"}
    for word in named_services(action, rest):
        assert word in services, f"{word} is no service of {files}"


def named_services(action: str, words: list[str]) -> list[str]:
    """The services among the arguments of a compose command."""
    if action == "exec":
        return words[:1]
    if action == "run":
        return without_options(words)[:1]
    if action == "cp":
        return [words[0].partition(":")[0]]
    return [word for word in words if not word.startswith("-") and not word.isdigit()]


@pytest.mark.parametrize("command", of("curl"))
def test_a_request_goes_to_a_route_that_exists(command: Command, routes: dict[str | int, dict[str, set[str]]]) -> None:
    words = list(command.words)
    [url] = [word for word in words if word.startswith("http")]
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
    parts = urlsplit(url)
    if parts.port == CALLBACK_PORT:
        return  # it refuses whatever has no token, whichever the path
    if parts.port == RPC_PORT:
        assert parts.path in ENGINE_ROUTES
        return
    known = routes[ADMIN_PORT if parts.port == ADMIN_PORT else PUBLIC]
    assert any(method in methods and re.fullmatch(route, parts.path) for route, methods in known.items()), url


@pytest.mark.parametrize("command", of("vllm"))
def test_a_benchmark_asks_a_route_that_exists(command: Command, routes: dict[str | int, dict[str, set[str]]]) -> None:
    assert command.words[1:3] == ("bench", "serve")
    assert "POST" in routes[PUBLIC][command.words[command.words.index("--endpoint") + 1]]


@pytest.fixture(scope="module")
def routes() -> dict[str | int, dict[str, set[str]]]:
    """Patterns of paths, with their methods, by port. The parts behind them are not asked."""

    async def asked() -> None:
        raise AssertionError

    nobody = cast(Any, asked)
    nobody.address = ""
    settings = ApiSettings()
    public = PublicApp(settings, *[nobody] * 10)._others
    admin = admin_app(settings, nobody, nobody, nobody)
    found = {port: described(each.openapi()) for port, each in ((PUBLIC, public), (ADMIN_PORT, admin))}
    found[PUBLIC] |= {CHAT_PATH: {"POST"}} | {f"/chain-api{path}": {"GET"} for path in chain_routes()}
    return found


def chain_routes() -> list[str]:
    """Patterns of the paths at which the chain's own queries are answered, from the proto files."""
    protos = (DEPLOY.parent / "proto").rglob("*.proto")
    paths = [path for file in protos for path in re.findall(r'http\)\.get = "([^"]+)"', file.read_text())]
    return [re.sub(r"\{\w+\}", "[^/]+", path) for path in paths]


def described(document: dict[str, Any]) -> dict[str, set[str]]:
    """The routes of an OpenAPI document."""
    return {
        re.sub(r"\{\w+\}", "[^/]+", path): {method.upper() for method in methods}
        for path, methods in document["paths"].items()
    }


@pytest.mark.parametrize("command", of("make"))
def test_a_make_target_exists(command: Command) -> None:
    assert re.search(rf"^{command.words[1]}:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("command", of("export"))
def test_a_variable_that_is_set_is_one_that_something_reads(command: Command) -> None:
    read = set(exports(NETWORK_NODE / "config.env.template")) | set(
        re.findall(r"\w+", (ML_NODE / "docker-compose.yml").read_text())
    )
    for assignment in command.words[1:]:
        assert assignment.partition("=")[0] in read


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = "\n".join(
        path.read_text() for path in [*DEPLOY.rglob("*"), *(DEPLOY.parent / "src").rglob("*.py")] if path.is_file()
    )
    for name in re.findall(r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?:=[^`]*)?`", page.read_text()):
        assert name in known, name
