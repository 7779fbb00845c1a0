"""Who this API node is: the host's account key and the gateway account's key, kept in its home, made on the first start."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pivot.primitives.keys import PrivateKey

ACCOUNT_KEY_NAME = "account"
GATEWAY_KEY_NAME = "gateway"
ACCOUNT_KEY_FILE = f"{ACCOUNT_KEY_NAME}.key"
GATEWAY_KEY_FILE = f"{GATEWAY_KEY_NAME}.key"
PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
SECRET_BYTES = 32


class DamagedKey(ValueError):
    """A key file that holds no key. It is never overwritten: it may be the host's only copy."""


@dataclass(frozen=True)
class Identity:
    """The two keys of an API node."""

    account: PrivateKey
    """Signs as host: transfer agent, executor, checker, and every transaction."""
    gateway: PrivateKey
    """Pays for requests that come with an API key."""

    @property
    def address(self) -> str:
        """The host's address."""
        return self.account.address

    @classmethod
    def load(cls, home: Path, key_name: str = ACCOUNT_KEY_NAME) -> Self:
        """Read the keys in `home` (the account key is called `key_name`); one that is not there yet is made.

        Raises DamagedKey.
        """
        home.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
        return cls(_key(home / f"{key_name}.key"), _key(home / GATEWAY_KEY_FILE))


def _key(path: Path) -> PrivateKey:
    if not path.exists():
        _write_new(path, secrets.token_hex(SECRET_BYTES))
    text = path.read_text().strip()
    damaged = DamagedKey(f"{path} does not hold a key of {SECRET_BYTES} bytes in hex")
    if len(text) != 2 * SECRET_BYTES:
        raise damaged
    try:
        return PrivateKey.from_hex(text)
    except ValueError as error:
        raise damaged from error


def _write_new(path: Path, text: str) -> None:
    """A file that its owner alone may read, whole or not there at all."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
