"""Philox4x32-10, the counter-based generator of Salmon et al. (SC'11), over numpy arrays.

Integer arithmetic alone: every machine and library gets the same bits. What the bits mean is the business
of generator.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
_Wide = npt.NDArray[np.uint64]

ROUNDS = 10
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = 0x9E3779B9
WEYL_1 = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HIGH_SHIFT = np.uint64(32)
_CHUNK = 8_192
"""Counters per inner loop, so that the working arrays stay in the cache."""


def philox4x32(counters: Words, key: tuple[int, int]) -> Words:
    """The generator's output for each counter.

    counters: (N, 4) uint32. key: two 32-bit words. Returns: (N, 4) uint32.
    """
    output = np.empty_like(counters)
    for start in range(0, len(counters), _CHUNK):
        output[start : start + _CHUNK] = _rounds(counters[start : start + _CHUNK], key)
    return output


def _rounds(counters: Words, key: tuple[int, int]) -> _Wide:
    """Ten rounds on (n, 4) counters; the results stand in the low halves of (n, 4) uint64."""
    wide = counters.T.astype(np.uint64)  # (4, n)
    c0, c1, c2, c3 = wide
    k0, k1 = key
    for _ in range(ROUNDS):
        product_0 = c0 * _MULTIPLIER_0
        product_1 = c2 * _MULTIPLIER_1
        c0 = (product_1 >> _HIGH_SHIFT) ^ c1
        c0 ^= np.uint64(k0)
        c2 = (product_0 >> _HIGH_SHIFT) ^ c3
        c2 ^= np.uint64(k1)
        c1 = np.bitwise_and(product_1, _LOW, out=product_1)
        c3 = np.bitwise_and(product_0, _LOW, out=product_0)
        k0 = (k0 + WEYL_0) & 0xFFFFFFFF
        k1 = (k1 + WEYL_1) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3), axis=1)
