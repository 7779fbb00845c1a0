"""From seeds to the weights and inputs of a sprint: the same bits on every machine.

A stream is a 64-bit Philox key, derived from a seed by SHA-256. Within a stream a number is found by its
counter alone: (block within the tensor, tensor, low and high half of the nonce). Bits become numbers by
integer arithmetic: sign, 7-bit mantissa and an exponent uniform over 8 octaves, so magnitudes run from 2**-7
to just below 2 and both fp16 and bf16 hold each of them exactly, while an 8-bit grid does not
(docs/protocol/poc.md, section 2).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pivot.mlnode.poc.philox import Words, philox4x32

Nonces = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MANTISSA_BITS = 7
OCTAVES = 8
NUMBERS_PER_BLOCK = 8
BITS_PER_BLOCK = 128

_SIGN = np.uint32(0x8000)
_MANTISSA = np.uint32(0x7F00)
_EXPONENT = np.uint32(0x0007)
_KEY_TAG = b"pivot/poc/key/1"


def _root_mean_square() -> float:
    steps = 2**MANTISSA_BITS
    mantissa = sum((1 + m / steps) ** 2 for m in range(steps)) / steps
    octave = sum(4.0**-k for k in range(OCTAVES)) / OCTAVES
    return math.sqrt(mantissa * octave)


RMS = _root_mean_square()
"""Root mean square of the generator's numbers (their mean is 0)."""


class Tensor(IntEnum):
    """Second word of the counter: what is being generated.

    The matrices of layer l are WEIGHTS + 8 * l + their place in the layer.
    """

    EMBEDDINGS = 0
    SIGNS = 1
    DIRECTIONS = 2
    WEIGHTS = 16


@dataclass(frozen=True)
class Stream:
    """One keyed sequence of generator blocks."""

    key: tuple[int, int]

    @classmethod
    def of(cls, seed: bytes, purpose: str) -> Stream:
        """The stream of a 32-byte seed for a purpose (`weights` or `inputs`)."""
        digest = hashlib.sha256(_KEY_TAG + purpose.encode() + b"/" + seed).digest()
        return cls((int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")))

    def words(self, tensor: int, nonces: Nonces, blocks: int) -> Words:
        """Raw words of one tensor for each nonce. nonces: (B,). Returns: (B, 4 * blocks) uint32."""
        counters = np.empty((len(nonces), blocks, 4), np.uint32)
        counters[:, :, 0] = np.arange(blocks, dtype=np.uint32)
        counters[:, :, 1] = tensor
        counters[:, :, 2] = (nonces & 0xFFFFFFFF).astype(np.uint32)[:, None]
        counters[:, :, 3] = (nonces >> 32).astype(np.uint32)[:, None]
        return philox4x32(counters.reshape(-1, 4), self.key).reshape(len(nonces), 4 * blocks)

    def numbers(self, tensor: int, nonces: Nonces, count: int) -> Floats:
        """`count` numbers of one tensor for each nonce (a multiple of 8). Returns: (B, count) fp32."""
        if count % NUMBERS_PER_BLOCK:
            raise ValueError(f"{count} is not a multiple of {NUMBERS_PER_BLOCK}")
        words = self.words(tensor, nonces, count // NUMBERS_PER_BLOCK)
        return to_numbers(words.astype("<u4", copy=False).view("<u2"))

    def signs(self, tensor: int, nonces: Nonces, count: int) -> Floats:
        """`count` signs of one tensor for each nonce, the lowest bit of the first word first.

        Returns: (B, count) fp32, each +1 (bit 0) or -1 (bit 1).
        """
        words = self.words(tensor, nonces, -(-count // BITS_PER_BLOCK))
        octets = words.astype("<u4", copy=False).view(np.uint8)
        bits = np.unpackbits(octets, axis=1, count=count, bitorder="little")
        return (1 - 2 * bits.view(np.int8)).astype(np.float32)


def to_numbers(halves: npt.NDArray[np.uint16]) -> Floats:
    """The number that each 16-bit half word stands for, in fp32.

    Bit 15 is the sign, bits 14 to 8 the mantissa m, bits 2 to 0 the exponent e, the others are unused:
    (-1)**sign * (1 + m / 128) * 2**(e - 7).
    """
    wide = halves.astype(np.uint32)
    bits = (wide & _SIGN) << np.uint32(16)
    bits |= (wide & _MANTISSA) << np.uint32(8)
    wide &= _EXPONENT
    wide += np.uint32(127 - (OCTAVES - 1))
    wide <<= np.uint32(23)
    bits |= wide
    return bits.view(np.float32)
