"""A folder of keys, over each backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keyring
import keyring.backend
import pytest
from keyring.errors import KeyringError as SystemRefused
from keyring.errors import PasswordDeleteError

from pivot.node.keyring.errors import (
    BackendUnusable,
    DamagedRecord,
    KeyExists,
    KeyMissing,
    KeyringError,
    NoSecret,
    WrongPassword,
)
from pivot.node.keyring.keyring import BACKENDS, Keyring, open_keyring
from pivot.node.keyring.record import parse_public_key, public_key_document, single
from pivot.primitives.keys import PrivateKey
from pivot.protocol.multisig import address_of_multisig, threshold_key

ALICE, BOB = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
PASSWORD = "correct horse"


class MemorySystem(keyring.backend.KeyringBackend):
    """An operating system's keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")

    def _check(self) -> None:
        if self.broken:
            raise SystemRefused("the collection is locked")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> MemorySystem:
    found = MemorySystem()
    monkeypatch.setattr(keyring.core, "_keyring_backend", found)
    return found


Opened = Callable[..., Keyring]


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path, system: MemorySystem) -> Opened:
    return lambda password=PASSWORD: open_keyring(tmp_path, request.param, lambda new: password)


def test_a_key_is_kept_under_its_name(opened: Opened) -> None:
    assert list(opened().records()) == []
    kept = opened().add("alice", ALICE)
    assert (kept.kind, kept.address) == ("local", ALICE.address)
    assert opened().secret("alice").secret_hex == ALICE.secret_hex
    assert opened().secret(ALICE.address).secret_hex == ALICE.secret_hex
    assert opened().address("alice") == ALICE.address == opened().address(ALICE.address)


def test_its_file_is_for_its_owner_alone_and_only_the_test_backend_shows_the_secret(opened: Opened) -> None:
    ring = opened()
    ring.add("alice", ALICE)
    [file] = ring.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (ALICE.secret_hex in file.read_text()) == ring.folder.name.endswith("test")


def test_names_and_keys_are_kept_once(opened: Opened) -> None:
    opened().add("alice", ALICE)
    with pytest.raises(KeyExists, match="alice"):
        opened().add("alice", BOB)
    with pytest.raises(KeyExists, match="as alice"):
        opened().add("other", ALICE)
    with pytest.raises(KeyringError, match="no name"):
        opened().add("../alice", BOB)


def test_a_key_is_renamed_and_deleted(opened: Opened) -> None:
    opened().add("alice", ALICE)
    opened().add("bob", BOB)
    with pytest.raises(KeyExists):
        opened().rename("alice", "bob")
    assert opened().rename("alice", "anna").name == "anna"
    assert opened().secret("anna").secret_hex == ALICE.secret_hex
    assert [each.name for each in opened().records()] == ["anna", "bob"]
    assert opened().delete("anna").address == ALICE.address
    with pytest.raises(KeyMissing, match="anna"):
        opened().secret("anna")


def test_public_keys_sign_nothing(opened: Opened) -> None:
    opened().add_public("bob", single(BOB.public_key))
    several = threshold_key([ALICE.public_key, BOB.public_key], 2)
    assert opened().add_public("both", several).address == address_of_multisig(several)
    assert [each.kind for each in opened().records()] == ["offline", "multi"]
    assert opened().rename("bob", "robert").kind == "offline"
    with pytest.raises(NoSecret, match="robert"):
        opened().secret("robert")


def test_all_keys_of_the_file_backend_are_under_one_password(tmp_path: Path) -> None:
    open_keyring(tmp_path, "file", lambda new: PASSWORD).add("alice", ALICE)
    with pytest.raises(WrongPassword):
        open_keyring(tmp_path, "file", lambda new: "wrong horse").add("bob", BOB)
    with pytest.raises(WrongPassword):
        open_keyring(tmp_path, "file", lambda new: "wrong horse").secret("alice")
    asked = []
    ring = open_keyring(tmp_path, "file", lambda new: asked.append(new) or PASSWORD)
    ring.add("bob", BOB)
    ring.secret("alice")
    assert asked == [False]


def test_a_damaged_file_is_told_and_left_alone(opened: Opened) -> None:
    ring = opened()
    ring.add("alice", ALICE)
    file = ring.folder / "alice.json"
    document = json.loads(file.read_text())
    for damaged in ("{", "[]", json.dumps({**document, "public_key": {"@type": "/nonesuch"}})):
        file.write_text(damaged)
        with pytest.raises(DamagedRecord, match=r"alice\.json"):
            list(opened().records())
        assert file.read_text() == damaged


def test_a_record_of_another_backend_is_told(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path, "test", lambda new: "")
    ring.add("alice", ALICE)
    file = ring.folder / "alice.json"
    file.write_text(file.read_text().replace(ALICE.secret_hex, "in the operating system's keyring"))
    with pytest.raises(DamagedRecord, match="another backend"):
        ring.secret("alice")


def test_what_the_system_lost_or_refuses_is_told(tmp_path: Path, system: MemorySystem) -> None:
    ring = open_keyring(tmp_path, "os", lambda new: "")
    ring.add("alice", ALICE)
    kept = dict(system.entries)
    system.entries.clear()
    with pytest.raises(KeyMissing, match="lost"):
        ring.secret("alice")
    with pytest.raises(BackendUnusable):
        ring.delete("alice")
    system.entries.update(kept)
    system.broken = True
    with pytest.raises(BackendUnusable, match="locked"):
        ring.secret("alice")
    with pytest.raises(BackendUnusable, match="--keyring-backend file"):
        ring.add("bob", BOB)


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnusable, match="kwallet"):
        open_keyring(tmp_path, "kwallet", lambda new: "")


@pytest.mark.parametrize(
    "document",
    [
        {"@type": "/cosmos.bank.v1beta1.MsgSend"},
        {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": "AAAA"},
        {"@type": "/cosmos.crypto.multisig.LegacyAminoPubKey", "threshold": 1},
        {"key": "AAAA"},
    ],
)
def test_what_is_no_public_key_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(KeyringError):
        parse_public_key(document)


def test_a_public_key_survives_its_json() -> None:
    for public_key in (single(ALICE.public_key), threshold_key([ALICE.public_key, BOB.public_key], 1)):
        assert parse_public_key(public_key_document(public_key)) == public_key
