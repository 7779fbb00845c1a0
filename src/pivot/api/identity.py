"""Who this API node is: the host's account key and the gateway account's key, kept in its home, made on the first start."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pivot.api.private_files import write_private
from pivot.primitives.keys import PrivateKey

ACCOUNT_KEY_NAME = "account"
GATEWAY_KEY_NAME = "gateway"
ACCOUNT_KEY_FILE = f"{ACCOUNT_KEY_NAME}.key"
GATEWAY_KEY_FILE = f"{GATEWAY_KEY_NAME}.key"
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
        return cls(_key(home / f"{key_name}.key"), _key(home / GATEWAY_KEY_FILE))


def _key(path: Path) -> PrivateKey:
    if not path.exists():
        write_private(path, secrets.token_hex(SECRET_BYTES))
    text = path.read_text().strip()
    damaged = DamagedKey(f"{path} does not hold a key of {SECRET_BYTES} bytes in hex")
    if len(text) != 2 * SECRET_BYTES:
        raise damaged
    try:
        return PrivateKey.from_hex(text)
    except ValueError as error:
        raise damaged from error
