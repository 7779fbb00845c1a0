"""From seeds to tensors on a device: bit for bit what generator.py makes with numpy (docs/protocol/poc.md, section 2).

torch multiplies no unsigned integers, so the words of Philox travel in int64. The multipliers are taken less 2**32:
then no product leaves int64, and the high word, too small by one multiplicand, gets it back.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pivot.mlnode.poc.generator import BITS_PER_BLOCK, NUMBERS_PER_BLOCK, Stream
from pivot.mlnode.poc.philox import ROUNDS, WEYL_0, WEYL_1

BITS_PER_WORD = 32
_LOW = 2**32 - 1
_MULTIPLIER_0 = 0xD2511F53 - 2**32
_MULTIPLIER_1 = 0xCD9E8D57 - 2**32

# The two 16-bit halves of an int32 become two fp16 at once.
_SIGNS = 0x80008000 - 2**32
_MANTISSAS = 0x7F007F00
_EXPONENTS = 0x00070007
_EXPONENT_BIASES = 0x00080008  # fp16's bias of 15, less the generator's 7
_TO_MANTISSA = 5
_TO_EXPONENT = 10

BLOCKS_AT_ONCE = {"cpu": 2**14, "cuda": 2**21}
"""Blocks in one go: what a core's cache holds; what keeps a GPU busy through a launch."""

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox4x32(counters: Words, key: tuple[int, int]) -> Words:
    """The generator's four words for each counter.

    counters: int64 below 2**32, of shapes that broadcast. Returns: the same, of the common shape.
    """
    c0, c1, c2, c3 = counters
    k0, k1 = key
    for _ in range(ROUNDS):
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        high_0, high_1 = (product_0 >> BITS_PER_WORD).add_(c0), (product_1 >> BITS_PER_WORD).add_(c2)
        c0, c2 = (high_1 ^ c1).bitwise_xor_(k0), (high_0 ^ c3).bitwise_xor_(k1)
        c1, c3 = product_1.bitwise_and_(_LOW), product_0.bitwise_and_(_LOW)
        k0, k1 = (k0 + WEYL_0) & _LOW, (k1 + WEYL_1) & _LOW
    return c0, c1, c2, c3


def words(stream: Stream, tensor: int, nonces: Tensor, first: int, blocks: int) -> Tensor:
    """Raw words of one tensor from block `first` on. nonces: (B,) int64. Returns: (B, blocks, 4) int32."""
    block = torch.arange(first, first + blocks, device=nonces.device)[None]  # (1, blocks)
    nonce = nonces[:, None]
    counters = (block, torch.full_like(nonce[:1], tensor), nonce & _LOW, nonce >> BITS_PER_WORD)
    return torch.stack([word.to(torch.int32) for word in philox4x32(counters, stream.key)], dim=2)


def numbers(stream: Stream, tensor: int, nonces: Tensor, count: int) -> Tensor:
    """`count` numbers of one tensor for each nonce (a multiple of 8). nonces: (B,). Returns: (B, count) fp16."""
    if count % NUMBERS_PER_BLOCK:
        raise ValueError(f"{count} is not a multiple of {NUMBERS_PER_BLOCK}")
    blocks = count // NUMBERS_PER_BLOCK
    limit = BLOCKS_AT_ONCE[nonces.device.type]
    out = torch.empty(len(nonces), blocks, NUMBERS_PER_BLOCK, dtype=torch.float16, device=nonces.device)
    for some in _steps(len(nonces), max(1, limit // blocks)):
        for part in _steps(blocks, limit):
            raw = words(stream, tensor, nonces[some], part.start, part.stop - part.start)
            out[some, part] = to_numbers(raw)
    return out.view(len(nonces), count)


def fill_matrix(out: Tensor, stream: Stream, tensor: int) -> None:
    """Write one weight matrix's numbers into `out`, of any floating type: fp16 and wider hold them exactly.

    out: (rows, columns), columns a multiple of 8.
    """
    rows, columns = out.shape
    blocks = columns // NUMBERS_PER_BLOCK  # in a row
    nonce = torch.zeros(1, dtype=torch.int64, device=out.device)
    for some in _steps(rows, max(1, BLOCKS_AT_ONCE[out.device.type] // blocks)):
        raw = words(stream, tensor, nonce, some.start * blocks, (some.stop - some.start) * blocks)
        out[some] = to_numbers(raw).view(-1, columns)


def signs(stream: Stream, tensor: int, nonces: Tensor, count: int) -> Tensor:
    """`count` signs of one tensor for each nonce. nonces: (B,). Returns: (B, count) fp32, each +1 or -1."""
    raw = words(stream, tensor, nonces, 0, -(-count // BITS_PER_BLOCK))
    places = torch.arange(BITS_PER_WORD, dtype=torch.int32, device=nonces.device)
    bits = (raw[..., None] >> places) & 1
    return (1 - 2 * bits.view(len(nonces), -1)[:, :count]).float()


def to_numbers(raw: Tensor) -> Tensor:
    """The numbers that words stand for, two in each. raw: (..., n) int32. Returns: (..., 2n) fp16."""
    bits = (raw & _EXPONENTS).add_(_EXPONENT_BIASES).bitwise_left_shift_(_TO_EXPONENT)
    bits |= (raw & _MANTISSAS) >> _TO_MANTISSA
    bits |= raw & _SIGNS
    return bits.view(torch.float16)


def _steps(length: int, step: int) -> Iterator[slice]:
    """Slices of at most `step` that cover `length`."""
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
