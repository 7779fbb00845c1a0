"""Each good signature is checked once."""

import pytest

from pivot.chain import signatures
from pivot.chain.signatures import Signatures
from tests.chain.chain import key

ALICE = key("alice")


def is_good(found: Signatures, message: bytes, signed: bytes | None = None) -> bool:
    """Whether Alice's signature over `signed` (the message itself unless given) is taken for one over the message."""
    return found.verify(ALICE.public_key, message, ALICE.sign(message if signed is None else signed))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures have really been checked."""
    messages: list[bytes] = []
    check = signatures.verify

    def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
        messages.append(message)
        return check(public_key, message, signature)

    monkeypatch.setattr(signatures, "verify", verify)
    return messages


def test_good_signatures_are_good_and_bad_ones_bad_however_often() -> None:
    found = Signatures()
    for _ in range(2):
        assert is_good(found, b"m")
        assert not is_good(found, b"m", b"another")


def test_what_is_known_to_be_good_is_not_checked_again(checked: list[bytes]) -> None:
    found = Signatures()
    for _ in range(2):
        assert is_good(found, b"1")
        assert not is_good(found, b"2", b"another")
    assert checked == [b"1", b"2", b"2"]


def test_a_good_signature_says_nothing_of_another_message_or_key() -> None:
    found = Signatures()
    assert is_good(found, b"m")
    assert not is_good(found, b"n", b"m")
    assert not found.verify(key("bob").public_key, b"m", ALICE.sign(b"m"))


def test_old_ones_are_forgotten(checked: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "REMEMBERED", 2)
    found = Signatures()
    for message in (b"1", b"2", b"3", b"1", b"4", b"5", b"1"):
        assert is_good(found, message)
    assert checked == [b"1", b"2", b"3", b"4", b"5", b"1"]
