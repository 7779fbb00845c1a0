"""Keys under a password, in the armour of Cosmos SDK chains."""

import base64

import pytest

from pivot.node.keyring import armor
from pivot.node.keyring.errors import DamagedArmor, WrongPassword

SECRET = bytes(range(1, 33))
PASSWORD = "correct horse"
SEALED = armor.seal(SECRET, PASSWORD)
PUBLISHED = """-----BEGIN TENDERMINT PRIVATE KEY-----
type: secp256k1
salt: A0A1A2A3A4A5A6A7A8A9AAABACADAEAF
kdf: argon2

RrrVyjrbp86CSqFKkNDeD/zwmidSDZ2yp2olJ0ZmrzQ68YInbWxm20nibXyreKEE
xvPHjdQ=
=jwWE
-----END TENDERMINT PRIVATE KEY-----
"""
"""Made with the Go packages (argon2, chacha20poly1305, openpgp/armor) and the settings of Cosmos SDK 0.53."""


def test_what_was_sealed_is_unsealed() -> None:
    assert armor.unseal(SEALED, PASSWORD) == SECRET
    assert armor.unseal(f"\n{SEALED}\n", PASSWORD) == SECRET
    assert SECRET.hex() not in SEALED


def test_a_key_that_was_exported_by_another_tool_is_read() -> None:
    assert armor.unseal(PUBLISHED, PASSWORD) == SECRET


def test_two_seals_of_one_key_differ() -> None:
    assert armor.seal(SECRET, PASSWORD) != SEALED


def test_a_wrong_password_is_refused() -> None:
    with pytest.raises(WrongPassword):
        armor.unseal(SEALED, "wrong horse")


def test_the_checksum_is_that_of_openpgp() -> None:
    assert armor._crc24(b"123456789") == 0x21CF02


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("BEGIN TENDERMINT PRIVATE KEY", "BEGIN PGP MESSAGE", "stands between"),
        ("kdf: argon2", "kdf: bcrypt", "bcrypt"),
        ("type: secp256k1", "type: ed25519", "ed25519"),
        ("salt: ", "salt: zz", "cannot be read"),
        (SEALED.splitlines()[5], SEALED.splitlines()[5].swapcase(), "checksum"),
        (SEALED.splitlines()[5], "%" * 8, "base64"),
    ],
)
def test_a_damaged_armour_is_told(old: str, new: str, sentence: str) -> None:
    with pytest.raises(DamagedArmor, match=sentence):
        armor.unseal(SEALED.replace(old, new), PASSWORD)


def test_another_kind_of_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(armor, "AMINO_PREFIX", b"other")
        sealed = armor.seal(SECRET, PASSWORD)
    with pytest.raises(DamagedArmor, match="no secp256k1"):
        armor.unseal(sealed, PASSWORD)


def test_the_checksum_line_may_be_missing() -> None:
    lines = [line for line in SEALED.splitlines() if not line.startswith("=")]
    assert armor.unseal("\n".join(lines), PASSWORD) == SECRET
    assert base64.b64decode(SEALED.splitlines()[-2][1:])
