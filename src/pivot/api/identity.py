"""Who this API node is: the host's account key and the gateway account's key, kept in its home, made on the first start."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pivot.primitives.keys import PrivateKey

ACCOUNT_KEY_FILE = "account.key"
GATEWAY_KEY_FILE = "gateway.key"
PRIVATE_FILE_MODE = 0o600


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
    def load(cls, home: Path) -> Self:
        """Read the keys in `home`; one that is not there yet is made."""
        home.mkdir(parents=True, exist_ok=True)
        return cls(_key(home / ACCOUNT_KEY_FILE), _key(home / GATEWAY_KEY_FILE))


def _key(path: Path) -> PrivateKey:
    if not path.exists():
        path.touch(mode=PRIVATE_FILE_MODE, exist_ok=False)
        path.write_text(secrets.token_hex(32) + "\n")
    return PrivateKey.from_hex(path.read_text().strip())
