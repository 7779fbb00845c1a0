"""Where the secrets of a keyring are, in order of safety:

os     the operating system's keyring (Keychain, Secret Service, Credential Locker)
file   in the key's own file, under a password
test   in the key's own file, for everybody who can read it
"""

from collections.abc import Callable
from typing import Protocol

from pivot.node.keyring import armor
from pivot.node.keyring.errors import BackendUnusable, DamagedRecord, KeyMissing

SERVICE = "pivot"
"""Name under which the operating system's keyring lists our keys."""
IN_SYSTEM = "in the operating system's keyring"

AskPassword = Callable[[bool], str]
"""Asks for the password; told whether it is a new one, which is asked for twice."""


class Vault(Protocol):
    """Keeps secrets. What `seal` returns stands in the key's file."""

    def seal(self, name: str, secret: bytes, first: str) -> str:
        """Keep a secret. `first` is what was sealed of another key of the same keyring, empty if there is none."""
        ...

    def unseal(self, name: str, sealed: str) -> bytes: ...

    def forget(self, name: str) -> None: ...


class PlainVault:
    """Hex in the file: for tests, and for machines that nobody else can look into."""

    def seal(self, name: str, secret: bytes, first: str) -> str:  # noqa: ARG002
        return secret.hex()

    def unseal(self, name: str, sealed: str) -> bytes:
        try:
            return bytes.fromhex(sealed)
        except ValueError as error:
            raise DamagedRecord(f"the secret of {name} is not hex: it is of another backend") from error

    def forget(self, name: str) -> None:
        """Nothing is kept elsewhere."""


class PasswordVault:
    """The armour of exported keys, all under one password, which is asked for once per command."""

    def __init__(self, ask: AskPassword) -> None:
        self._ask = ask
        self._password: str | None = None

    def seal(self, name: str, secret: bytes, first: str) -> str:  # noqa: ARG002
        password = self._known(new=not first)
        if first:
            armor.unseal(first, password)  # one password for all keys
        return armor.seal(secret, password)

    def unseal(self, name: str, sealed: str) -> bytes:  # noqa: ARG002
        return armor.unseal(sealed, self._known(new=False))

    def forget(self, name: str) -> None:
        """Nothing is kept elsewhere."""

    def _known(self, *, new: bool) -> str:
        if self._password is None:
            self._password = self._ask(new)
        return self._password


class SystemVault:
    """The operating system's keyring. One entry per key, named by folder and key."""

    def __init__(self, folder: str) -> None:
        import keyring  # noqa: PLC0415  it looks for the system's services when it is loaded
        from keyring.errors import KeyringError as SystemRefused  # noqa: PLC0415

        self._keyring = keyring
        self._error = SystemRefused
        self._folder = folder

    def seal(self, name: str, secret: bytes, first: str) -> str:  # noqa: ARG002
        try:
            self._keyring.set_password(SERVICE, self._entry(name), secret.hex())
        except self._error as error:
            raise self._unusable(error) from error
        return IN_SYSTEM

    def unseal(self, name: str, sealed: str) -> bytes:  # noqa: ARG002
        try:
            found = self._keyring.get_password(SERVICE, self._entry(name))
        except self._error as error:
            raise self._unusable(error) from error
        if found is None:
            raise KeyMissing(f"the operating system's keyring has lost the secret of {name}")
        return bytes.fromhex(found)

    def forget(self, name: str) -> None:
        try:
            self._keyring.delete_password(SERVICE, self._entry(name))
        except self._error as error:
            raise self._unusable(error) from error

    def _entry(self, name: str) -> str:
        return f"{self._folder}/{name}"

    @staticmethod
    def _unusable(error: Exception) -> BackendUnusable:
        return BackendUnusable(f"this system has no keyring that can be used ({error}): use --keyring-backend file")
