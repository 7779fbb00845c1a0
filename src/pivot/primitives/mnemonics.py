"""BIP-39 phrases: entropy written as words of the standard English list, with a checksum."""

from functools import cache
from importlib import resources

from pivot.primitives.hashes import sha256

BITS_PER_WORD = 11
ENTROPY_BYTES_OF_WORDS = {12: 16, 15: 20, 18: 24, 21: 28, 24: 32}
DEFAULT_WORDS = 24


class InvalidMnemonic(ValueError):
    """A phrase with another number of words, an unknown word, or a wrong checksum."""


def phrase(entropy: bytes) -> str:
    """The words of 16, 20, 24, 28 or 32 random bytes. Raises InvalidMnemonic for another length."""
    if len(entropy) not in ENTROPY_BYTES_OF_WORDS.values():
        raise InvalidMnemonic(f"a phrase holds 16, 20, 24, 28 or 32 bytes, not {len(entropy)}")
    checksum_bits = len(entropy) // 4
    number = int.from_bytes(entropy) << checksum_bits | _checksum(entropy, checksum_bits)
    count = (8 * len(entropy) + checksum_bits) // BITS_PER_WORD
    words = english_words()
    return " ".join(
        words[number >> BITS_PER_WORD * position & 2**BITS_PER_WORD - 1] for position in reversed(range(count))
    )


def check_phrase(text: str) -> None:
    """Refuse what is no phrase. Raises InvalidMnemonic with a sentence that does not repeat the phrase."""
    found = text.split()
    if len(found) not in ENTROPY_BYTES_OF_WORDS:
        raise InvalidMnemonic(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {len(found)}")
    places = {word: place for place, word in enumerate(english_words())}
    number = 0
    for position, word in enumerate(found, 1):
        if word not in places:
            raise InvalidMnemonic(f"word {position} of the mnemonic is not in the English list of BIP-39")
        number = number << BITS_PER_WORD | places[word]
    length = ENTROPY_BYTES_OF_WORDS[len(found)]
    checksum_bits = length // 4
    if _checksum((number >> checksum_bits).to_bytes(length), checksum_bits) != number & 2**checksum_bits - 1:
        raise InvalidMnemonic("the mnemonic's checksum is wrong: a word is mistaken, or two are swapped")


@cache
def english_words() -> tuple[str, ...]:
    """The 2,048 words in their order."""
    return tuple(resources.files("pivot.primitives").joinpath("bip39_english.txt").read_text().split())


def _checksum(entropy: bytes, bits: int) -> int:
    return sha256(entropy)[0] >> 8 - bits
