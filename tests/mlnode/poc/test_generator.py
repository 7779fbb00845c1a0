"""Seeds to numbers: exact in both half precisions, fixed for ever, evenly spread."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from pivot.mlnode.poc.generator import RMS, Stream, Tensor, to_numbers

EVERY_HALF = np.arange(2**16, dtype=np.uint16)
STREAM = Stream.of(bytes(range(32)), "inputs")
ONE_NONCE = np.zeros(1, np.int64)


def test_every_number_is_what_its_bits_say() -> None:
    values = to_numbers(EVERY_HALF)
    for half in (0x0000, 0x0007, 0x7F07, 0xFF07, 0x8003, 0x00F8, 0x4004):
        sign, mantissa, exponent = half >> 15, half >> 8 & 0x7F, half & 7
        assert values[half] == (-1) ** sign * (1 + mantissa / 128) * 2.0 ** (exponent - 7)


def test_fp16_and_bf16_hold_every_number_exactly() -> None:
    values = to_numbers(EVERY_HALF)
    assert np.array_equal(values.astype(np.float16).astype(np.float32), values)
    assert not np.any(values.view(np.uint32) & 0xFFFF)  # bf16 is the upper half of fp32


def test_a_grid_of_256_levels_cannot_hold_the_numbers() -> None:
    assert len(np.unique(to_numbers(EVERY_HALF))) == 2 * 128 * 8


def test_the_root_mean_square_is_exact() -> None:
    assert np.sqrt(np.mean(to_numbers(EVERY_HALF).astype(np.float64) ** 2)) == pytest.approx(RMS, rel=1e-12)


def plain_philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    a, b, c, d = counter
    k, j = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & 0xFFFFFFFF, (p >> 32) ^ d ^ j, p & 0xFFFFFFFF
        k, j = (k + 0x9E3779B9) & 0xFFFFFFFF, (j + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def test_numbers_and_signs_follow_the_documented_layout() -> None:
    digest = hashlib.sha256(b"pivot/poc/key/1" + b"inputs/" + bytes(range(32))).digest()
    key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little"))
    nonce = 2**40 + 5
    numbers = STREAM.numbers(Tensor.EMBEDDINGS, np.array([1, nonce]), 1024)[1]
    signs = STREAM.signs(Tensor.SIGNS, np.array([1, nonce]), 200)[1]
    for block in (0, 1, 127):
        words = plain_philox((block, Tensor.EMBEDDINGS, nonce & 0xFFFFFFFF, nonce >> 32), key)
        halves = [half for word in words for half in (word & 0xFFFF, word >> 16)]
        assert np.array_equal(numbers[8 * block : 8 * block + 8], to_numbers(np.array(halves, np.uint16)))
    words = plain_philox((1, Tensor.SIGNS, nonce & 0xFFFFFFFF, nonce >> 32), key)
    assert signs[128:].tolist() == [1 - 2 * (words[i // 32] >> i % 32 & 1) for i in range(72)]


def test_streams_of_different_seeds_purposes_tensors_and_nonces_differ() -> None:
    other_seed = Stream.of(bytes(32), "inputs")
    other_purpose = Stream.of(bytes(range(32)), "weights")
    rows = [
        STREAM.numbers(0, ONE_NONCE, 64),
        other_seed.numbers(0, ONE_NONCE, 64),
        other_purpose.numbers(0, ONE_NONCE, 64),
        STREAM.numbers(1, ONE_NONCE, 64),
        STREAM.numbers(0, ONE_NONCE + 1, 64),
        STREAM.numbers(0, ONE_NONCE + 2**40, 64),
    ]
    assert len({row.tobytes() for row in rows}) == len(rows)


def test_a_nonce_gets_the_same_numbers_in_any_company() -> None:
    nonces = np.array([7, 2**40, 3])
    together = STREAM.numbers(0, nonces, 64)
    assert all(np.array_equal(STREAM.numbers(0, nonces[i : i + 1], 64)[0], together[i]) for i in range(3))


def test_signs_and_numbers_are_balanced() -> None:
    signs = STREAM.signs(Tensor.SIGNS, ONE_NONCE, 2**16)
    numbers = STREAM.numbers(Tensor.EMBEDDINGS, ONE_NONCE, 2**16)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 / 2**8
    assert abs(numbers.mean()) < 5 * RMS / 2**8
    assert np.sqrt((numbers**2).mean()) == pytest.approx(RMS, rel=0.02)


def test_a_count_that_cuts_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        STREAM.numbers(0, ONE_NONCE, 12)
