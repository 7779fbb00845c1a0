"""Bech32 (BIP-173), as Cosmos chains write their addresses."""

from collections.abc import Iterable

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_LENGTH = 6
MAX_LENGTH = 90
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUE_OF = {letter: value for value, letter in enumerate(ALPHABET)}


class InvalidBech32(ValueError):
    """The text is no bech32 string, or one for another purpose."""


def encode(prefix: str, data: bytes) -> str:
    """`data` under a human-readable prefix."""
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(prefix), *values, *[0] * CHECKSUM_LENGTH]) ^ 1
    values += [(checksum >> 5 * (CHECKSUM_LENGTH - 1 - i)) & 31 for i in range(CHECKSUM_LENGTH)]
    return prefix + "1" + "".join(ALPHABET[value] for value in values)


def decode(text: str, prefix: str) -> bytes:
    """The data of a lower-case bech32 string that carries `prefix`. Raises InvalidBech32 with the reason."""
    if len(text) > MAX_LENGTH:
        raise InvalidBech32(f"{text[:MAX_LENGTH]!r}… is longer than {MAX_LENGTH} characters")
    found, separator, rest = text.rpartition("1")
    if not separator or len(rest) < CHECKSUM_LENGTH:
        raise InvalidBech32(f"{text!r} is not a bech32 address")
    if found != prefix:
        raise InvalidBech32(f"{text!r} does not begin with {prefix}1")
    try:
        values = [_VALUE_OF[letter] for letter in rest]
    except KeyError as error:
        raise InvalidBech32(f"{text!r} contains {error.args[0]!r}, which bech32 does not use") from None
    if _polymod([*_expand(prefix), *values]) != 1:
        raise InvalidBech32(f"{text!r} has a wrong checksum")
    return bytes(_regroup(values[:-CHECKSUM_LENGTH], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    return [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATORS):
            if top >> i & 1:
                checksum ^= generator
    return checksum


def _regroup(data: Iterable[int], source: int, target: int, *, pad: bool) -> list[int]:
    """Groups of `source` bits as groups of `target` bits."""
    accumulator = bits = 0
    groups: list[int] = []
    for value in data:
        accumulator = accumulator << source | value
        bits += source
        while bits >= target:
            bits -= target
            groups.append(accumulator >> bits & (1 << target) - 1)
        accumulator &= (1 << bits) - 1
    if pad and bits:
        groups.append(accumulator << (target - bits) & (1 << target) - 1)
    elif not pad and (bits >= source or accumulator):
        raise InvalidBech32("the padding of a bech32 string is not zero")
    return groups
