"""The shell completes groups, modules, verbs and options, those made from the registry like all others."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pivot ge", {"genesis"}),
        ("pivot keys im", {"import", "import-hex"}),
        ("pivot tx mul", {"multisign"}),
        ("pivot tx fee", {"feegrant"}),
        ("pivot tx bank se", {"send"}),
        ("pivot tx bank send --to", {"--to-address"}),
        ("pivot query inference current-", {"current-epoch", "current-epoch-group-data"}),
    ],
)
def test_what_is_begun_is_completed(words: str, offered: set[str]) -> None:
    environment = {
        **os.environ,
        "_PIVOT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [sys.executable, "-c", "from pivot.cli import main; main()"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == offered
