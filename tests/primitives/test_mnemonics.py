"""BIP-39 phrases, against the published vectors."""

import hashlib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.mnemonics import (
    ENTROPY_BYTES_OF_WORDS,
    InvalidMnemonic,
    check_phrase,
    english_words,
    phrase,
)
from tests.vectors import load_vectors

LIST_SHA256 = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
PUBLISHED = {
    "00000000000000000000000000000000": "abandon " * 11 + "about",
    "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "zoo " * 23 + "vote",
    "9e885d952ad362caeb4efe34a8e91bd2": "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic",
}


def test_the_word_list_is_the_published_one() -> None:
    raw = resources.files("pivot.primitives").joinpath("bip39_english.txt").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == LIST_SHA256
    assert len(english_words()) == 2048


@pytest.mark.parametrize(("entropy", "words"), PUBLISHED.items())
def test_the_published_phrases_are_made(entropy: str, words: str) -> None:
    assert phrase(bytes.fromhex(entropy)) == words
    check_phrase(words)


@given(st.sampled_from(sorted(ENTROPY_BYTES_OF_WORDS)), st.binary(min_size=32, max_size=32))
def test_what_is_made_is_good(words: int, entropy: bytes) -> None:
    made = phrase(entropy[: ENTROPY_BYTES_OF_WORDS[words]])
    assert len(made.split()) == words
    check_phrase(made)


def test_the_phrases_of_the_account_vectors_are_good() -> None:
    for account in load_vectors("transactions.json")["hd_accounts"]:
        check_phrase(account["mnemonic"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("abandon " * 11, "not 11"),
        ("abandon " * 11 + "gonka", "word 12"),
        ("abandon " * 12, "checksum"),
        ("", "not 0"),
    ],
)
def test_a_wrong_phrase_is_refused_without_repeating_it(words: str, sentence: str) -> None:
    with pytest.raises(InvalidMnemonic, match=sentence) as told:
        check_phrase(words)
    assert "abandon" not in str(told.value)


def test_entropy_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidMnemonic, match="not 17"):
        phrase(bytes(17))
