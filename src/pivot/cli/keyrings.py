"""The keyring of a command: which one, and how its password is asked for."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pivot.cli.flags import KeyFlags
from pivot.cli.output import CommandFailed
from pivot.node.keyring.errors import KeyringError
from pivot.node.keyring.keyring import DEFAULT_BACKEND, Keyring, open_keyring

PASSWORD_VARIABLE = "PIVOT_KEYRING_PASSWORD"  # noqa: S105  the name of a variable
BACKEND_VARIABLE = "PIVOT_KEYRING_BACKEND"
FOLDER_VARIABLE = "PIVOT_KEYRING_DIR"
HOME_VARIABLE = "PIVOT_HOME"
LEAST_PASSWORD_CHARACTERS = 8


@contextmanager
def keyring(flags: KeyFlags) -> Iterator[Keyring]:
    """The keyring that the flags name; what is wrong with it becomes a CommandFailed."""
    try:
        yield open_keyring(_folder(flags), _backend(flags), ask_keyring_password)
    except KeyringError as error:
        raise CommandFailed(str(error)) from error


def ask_keyring_password(new: bool) -> str:
    """The keyring's password: from PIVOT_KEYRING_PASSWORD, the terminal, or the next line of stdin."""
    given = os.environ.get(PASSWORD_VARIABLE)
    return _long_enough(given, new=new) if given else ask_password("Password of the keyring", new=new)


def ask_password(prompt: str, *, new: bool) -> str:
    """A password; a new one is asked for twice at a terminal."""
    if not sys.stdin.isatty():
        return _long_enough(next_line(prompt), new=new)
    password = _long_enough(getpass.getpass(f"{prompt}: ", sys.stderr), new=new)
    if new and getpass.getpass("Once more: ", sys.stderr) != password:
        raise CommandFailed("the two passwords are not the same")
    return password


def next_line(what: str) -> str:
    """The next line of stdin. Raises CommandFailed when there is none."""
    line = sys.stdin.readline()
    if not line:
        raise CommandFailed(f"{what}: nothing was given on stdin")
    return line.rstrip("\r\n")


def _long_enough(password: str, *, new: bool) -> str:
    if new and len(password) < LEAST_PASSWORD_CHARACTERS:
        raise CommandFailed(f"a password has at least {LEAST_PASSWORD_CHARACTERS} characters")
    return password


def _backend(flags: KeyFlags) -> str:
    return flags.keyring_backend or os.environ.get(BACKEND_VARIABLE) or DEFAULT_BACKEND


def _folder(flags: KeyFlags) -> Path:
    named = os.environ.get(FOLDER_VARIABLE) or os.environ.get(HOME_VARIABLE)
    return flags.keyring_dir or (Path(named) if named else Path.home() / ".pivot")
