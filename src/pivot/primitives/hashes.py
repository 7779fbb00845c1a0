"""The hash functions of the network."""

import hashlib


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256, 20 bytes: how an account's address follows from its key."""
    return hashlib.new("ripemd160", sha256(data)).digest()


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """SHA-256 over a domain tag and parts, each behind its length (4 bytes, big-endian), so no two inputs collide."""
    digest = hashlib.sha256()
    for part in (tag.encode(), *parts):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
