"""A private key under a password, in the ASCII armour of Cosmos SDK chains, so exported keys move between their tools and ours.

    -----BEGIN TENDERMINT PRIVATE KEY-----
    kdf: argon2
    salt: <hex, 16 bytes>
    type: secp256k1

    <base64 of ChaCha20-Poly1305 over the amino encoding of the key>
    =<base64 of the CRC-24 of OpenPGP>
    -----END TENDERMINT PRIVATE KEY-----

The cipher's key is Argon2id of the password (one pass, 64 MiB, four lanes); the salt makes it new each time, so the nonce is 0.
"""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pivot.node.keyring.errors import DamagedArmor, WrongPassword

BLOCK = "TENDERMINT PRIVATE KEY"
KEY_DERIVATION = "argon2"
KEY_TYPE = "secp256k1"
SALT_BYTES = 16
CIPHER_KEY_BYTES = 32
ARGON2_PASSES = 1
ARGON2_KIB = 64 * 1024
ARGON2_LANES = 4
NONCE = bytes(12)
SECRET_BYTES = 32
AMINO_PREFIX = bytes.fromhex("e1b0f79b20")
"""Amino's name of a secp256k1 private key, and the length of what follows."""
LINE_CHARACTERS = 64
_CRC24_START = 0xB704CE
_CRC24_POLYNOMIAL = 0x1864CFB


def seal(secret: bytes, password: str) -> str:
    """A secp256k1 secret (32 bytes) as armoured text."""
    salt = secrets.token_bytes(SALT_BYTES)
    sealed = ChaCha20Poly1305(_derive(password, salt)).encrypt(NONCE, AMINO_PREFIX + secret, None)
    body = base64.b64encode(sealed).decode()
    lines = [body[start : start + LINE_CHARACTERS] for start in range(0, len(body), LINE_CHARACTERS)]
    checksum = base64.b64encode(_crc24(sealed).to_bytes(3)).decode()
    return "\n".join(
        [
            f"-----BEGIN {BLOCK}-----",
            f"kdf: {KEY_DERIVATION}",
            f"salt: {salt.hex().upper()}",
            f"type: {KEY_TYPE}",
            "",
            *lines,
            f"={checksum}",
            f"-----END {BLOCK}-----",
        ]
    )


def unseal(text: str, password: str) -> bytes:
    """The secret of an armoured text. Raises WrongPassword, DamagedArmor."""
    headers, sealed = _parts(text)
    if headers.get("kdf") != KEY_DERIVATION:
        raise DamagedArmor(
            f"the exported key is under {headers.get('kdf', 'no key derivation')!r}, and only {KEY_DERIVATION} is read: "
            "export it again with a current tool"
        )
    if headers.get("type", KEY_TYPE) != KEY_TYPE:
        raise DamagedArmor(f"the exported key is of the type {headers['type']!r}; accounts here have {KEY_TYPE}")
    try:
        salt = bytes.fromhex(headers.get("salt", ""))
        plain = ChaCha20Poly1305(_derive(password, salt)).decrypt(NONCE, sealed, None)
    except InvalidTag:
        raise WrongPassword("the password does not open the key") from None
    except ValueError as error:
        raise DamagedArmor(f"the exported key cannot be read: {error}") from error
    if not plain.startswith(AMINO_PREFIX) or len(plain) != len(AMINO_PREFIX) + SECRET_BYTES:
        raise DamagedArmor("what was exported is no secp256k1 private key")
    return plain[len(AMINO_PREFIX) :]


def _derive(password: str, salt: bytes) -> bytes:
    derivation = Argon2id(
        salt=salt, length=CIPHER_KEY_BYTES, iterations=ARGON2_PASSES, lanes=ARGON2_LANES, memory_cost=ARGON2_KIB
    )
    return derivation.derive(password.encode())


def _parts(text: str) -> tuple[dict[str, str], bytes]:
    """Headers and body. Raises DamagedArmor."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) < 2 or lines[0] != f"-----BEGIN {BLOCK}-----" or lines[-1] != f"-----END {BLOCK}-----":
        raise DamagedArmor(f"an exported key stands between -----BEGIN {BLOCK}----- and -----END {BLOCK}-----")
    headers, body, checksum = {}, "", ""
    for line in lines[1:-1]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
        elif line.startswith("="):
            checksum = line[1:]
        else:
            body += line
    try:
        sealed = base64.b64decode(body, validate=True)
        told = int.from_bytes(base64.b64decode(checksum, validate=True))
    except binascii.Error:
        raise DamagedArmor("the body of the exported key is not base64") from None
    if checksum and told != _crc24(sealed):
        raise DamagedArmor("the checksum of the exported key is wrong: a line is damaged or missing")
    return headers, sealed


def _crc24(data: bytes) -> int:
    """The checksum of OpenPGP's armour (RFC 4880, section 6.1)."""
    crc = _CRC24_START
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= _CRC24_POLYNOMIAL
    return crc
