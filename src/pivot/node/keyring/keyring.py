"""A folder of keys, one file each: `keyring-<backend>/<name>.json`."""

from collections.abc import Iterator
from pathlib import Path

from cosmos.crypto.secp256k1.keys_pb2 import PubKey

from pivot.api.private_files import write_private
from pivot.node.keyring.errors import BackendUnusable, KeyExists, KeyMissing, NoSecret
from pivot.node.keyring.record import KeyRecord, PublicKey, check_name
from pivot.node.keyring.vaults import AskPassword, PasswordVault, PlainVault, SystemVault, Vault
from pivot.primitives.addresses import InvalidAddress, of_operator, require
from pivot.primitives.keys import PrivateKey

BACKENDS = ("file", "os", "test")
DEFAULT_BACKEND = "file"
SUFFIX = ".json"


def open_keyring(home: Path, backend: str, ask_password: AskPassword) -> "Keyring":
    """The keyring of a backend below `home`; its folder is made with the first key. Raises BackendUnusable."""
    folder = home / f"keyring-{backend}"
    if backend == "test":
        return Keyring(folder, PlainVault())
    if backend == "file":
        return Keyring(folder, PasswordVault(ask_password))
    if backend == "os":
        return Keyring(folder, SystemVault(str(folder.absolute())))
    raise BackendUnusable(f"there is no keyring backend {backend!r}; known are {', '.join(BACKENDS)}")


class Keyring:
    """Keys by name and by address."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self.folder = folder
        self._vault = vault

    def records(self) -> Iterator[KeyRecord]:
        """All keys, by name. Raises DamagedRecord."""
        for file in sorted(self.folder.glob(f"*{SUFFIX}")):
            yield KeyRecord.from_json(file.read_text(), str(file))

    def find(self, name_or_address: str) -> KeyRecord:
        """A key. Raises KeyMissing."""
        for record in self.records():
            if name_or_address in {record.name, record.address}:
                return record
        raise KeyMissing(f"there is no key {name_or_address} in {self.folder}: `pivot keys list` shows those there are")

    def address(self, name_or_address: str) -> str:
        """The address of a key, or of anybody who is named by address, also as an operator. Raises KeyMissing."""
        for read in (require, of_operator):
            try:
                return read(name_or_address)
            except InvalidAddress:
                continue
        return self.find(name_or_address).address

    def add(self, name: str, key: PrivateKey) -> KeyRecord:
        """Keep a key. Raises KeyExists, WrongPassword, BackendUnusable."""
        public_key = PubKey(key=key.public_key)
        self._require_new(name, public_key)
        first = next((record.sealed for record in self.records() if record.sealed), "")
        sealed = self._vault.seal(name, bytes.fromhex(key.secret_hex), first)
        return self._write(KeyRecord(name, public_key, sealed))

    def add_public(self, name: str, public_key: PublicKey) -> KeyRecord:
        """Keep a public key: of somebody else, or of several. Raises KeyExists."""
        self._require_new(name, public_key)
        return self._write(KeyRecord(name, public_key))

    def secret(self, name_or_address: str) -> PrivateKey:
        """A key that signs. Raises KeyMissing, NoSecret, WrongPassword."""
        record = self.find(name_or_address)
        if not record.sealed:
            raise NoSecret(f"the keyring holds only the public key of {record.name}: it cannot sign with it")
        return PrivateKey(self._vault.unseal(record.name, record.sealed))

    def rename(self, old: str, new: str) -> KeyRecord:
        """Call a key by another name. Raises KeyMissing, KeyExists."""
        record = self.find(old)
        self._require_free(new)
        sealed = record.sealed and self._vault.seal(new, self._vault.unseal(record.name, record.sealed), record.sealed)
        renamed = self._write(KeyRecord(new, record.public_key, sealed))
        self._remove(record)
        return renamed

    def delete(self, name: str) -> KeyRecord:
        """Forget a key. Raises KeyMissing."""
        record = self.find(name)
        self._remove(record)
        return record

    def _require_new(self, name: str, public_key: PublicKey) -> None:
        self._require_free(name)
        for record in self.records():
            if record.public_key == public_key:
                raise KeyExists(f"the key {record.address} is in the keyring already, as {record.name}")

    def _require_free(self, name: str) -> None:
        if self._file(check_name(name)).exists():
            raise KeyExists(f"there is a key {name} in {self.folder} already")

    def _write(self, record: KeyRecord) -> KeyRecord:
        write_private(self._file(record.name), record.to_json())
        return record

    def _remove(self, record: KeyRecord) -> None:
        if record.sealed:
            self._vault.forget(record.name)
        self._file(record.name).unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"
