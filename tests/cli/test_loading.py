"""Commands are loaded when they are asked for; until then their names and a sentence are enough."""

import subprocess
import sys

import pytest
import typer

from pivot.cli import COMMANDS, app, load

HEAVY = ("pivot.chain", "pivot.api", "pivot.mlnode", "pivot.devnet", "aiohttp", "numpy", "huggingface_hub")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    command = typer.main.get_command(app).get_command(typer.Context(load(name)), name)
    assert command.name == name
    assert command.get_short_help_str(limit=200).startswith(COMMANDS[name])


def test_help_loads_no_command() -> None:
    script = (
        "import sys\nfrom pivot.cli import main\nsys.argv = ['pivot', '--help']\n"
        f"try:\n    main()\nexcept SystemExit:\n    print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert all(name in told.stdout for name in COMMANDS)


def test_a_typing_error_gets_a_suggestion() -> None:
    told = subprocess.run([sys.executable, "-m", "pivot.cli", "devnt"], capture_output=True, text=True, check=False)
    assert (told.returncode, "Did you mean 'devnet'?" in told.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "spared"), {"keys": HEAVY, "genesis": (), "tx": (), "query": (), "signature": HEAVY}.items()
)
def test_a_command_is_loaded_alone_and_loads_no_more_than_it_needs(name: str, spared: tuple[str, ...]) -> None:
    script = (
        f"import sys\nfrom pivot.cli import load\nload({name!r})\n"
        f"print([name for name in {spared!r} if name in sys.modules and name != 'pivot.api'])\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
