"""The hash chain that every host commits to at its sprint and reveals through the epoch (design, decisions 5 and 13).

A secret of 32 bytes is the last element (index 23). Hashing an element gives the one before it; hashing element 0 gives
the tip, which the sprint's commit holds. So each element proves itself, and nobody can foresee the next.
"""

from pivot.primitives.hashes import tagged_hash
from pivot.protocol.epochs import SEGMENTS

ELEMENT_LENGTH = 32
_TAG = "pivot/hash-chain/1"


def step(chain_id: str, epoch: int, address: str, element: bytes) -> bytes:
    """The element before `element` (the tip, if that is element 0)."""
    return tagged_hash(_TAG, chain_id.encode(), epoch.to_bytes(8, "big"), address.encode(), element)


def element(chain_id: str, epoch: int, address: str, secret: bytes, index: int) -> bytes:
    """Element `index`, 0 to 23, of the chain over `secret` (32 bytes); index −1 is the tip. Raises ValueError."""
    if not -1 <= index < SEGMENTS:
        raise ValueError(f"a hash chain has the elements 0 to {SEGMENTS - 1}, not {index}")
    if len(secret) != ELEMENT_LENGTH:
        raise ValueError(f"the secret of a hash chain has {ELEMENT_LENGTH} bytes, not {len(secret)}")
    value = secret
    for _ in range(SEGMENTS - 1 - index):
        value = step(chain_id, epoch, address, value)
    return value


def tip(chain_id: str, epoch: int, address: str, secret: bytes) -> bytes:
    """What a host commits to before its epoch begins."""
    return element(chain_id, epoch, address, secret, -1)


def fold(randomness: bytes, revealed: bytes) -> bytes:
    """The running randomness with one more revealed element in it."""
    return tagged_hash("pivot/randomness/1", randomness, revealed)
