"""Number formats as machines have them, held to numpy's own and to their tables."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.poc_science.arithmetic import (
    Array,
    Rounding,
    bf16,
    fp8,
    fp16,
    in_groups,
    integers,
    tf32,
    two_of_four,
)

NUMBERS = np.random.default_rng(5).standard_normal((64, 24)).astype(np.float32)
FORMATS = {
    "fp16": fp16,
    "bf16": bf16,
    "tf32": tf32,
    "fp8": fp8(None),
    "fp8 by column": fp8(0),
    "int8": integers(8, None),
    "int4 by row": integers(4, -1),
    "int4 in groups": in_groups(4, 10),
    "two of four": two_of_four,
}


@pytest.mark.parametrize("rounding", FORMATS.values(), ids=FORMATS.keys())
def test_what_is_rounded_once_stays(rounding: Rounding) -> None:
    once = rounding(NUMBERS)
    assert once.dtype == np.float32
    np.testing.assert_allclose(rounding(once), once, rtol=1e-6)


@pytest.mark.parametrize(("rounding", "bits"), [(fp16, 10), (tf32, 10), (bf16, 7)], ids=["fp16", "tf32", "bf16"])
def test_a_number_keeps_so_many_bits_behind_the_leading_one(rounding: Rounding, bits: int) -> None:
    step = 2.0**-bits
    given = np.array([1 + step, 1 + 0.4 * step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.6 * step], np.float32)
    assert rounding(given).tolist() == [1 + step, 1, 1, 1 + 2 * step, -1 - step]


def test_fp8_has_the_values_of_e4m3() -> None:
    normal = [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)][
        :-1
    ]  # the last stands for no number
    values = np.array([0.0, *(m / 8 * 2.0**-6 for m in range(1, 8)), *normal], np.float32)
    assert values.max() == 448
    np.testing.assert_array_equal(fp8(None)(values), values)
    between = np.array([448, 17, 19, 2.0**-10, 1.5 * 2.0**-9], np.float32)
    assert fp8(None)(between).tolist() == [448, 16, 20, 0, 2 * 2.0**-9]


def test_an_integer_grid_has_so_many_steps() -> None:
    column = np.linspace(-1, 1, 1_001, dtype=np.float32)[:, None]
    assert len(np.unique(integers(4, 0)(column))) == 15
    assert len(np.unique(integers(8, 0)(column))) == 255


def test_every_group_has_its_own_step() -> None:
    column = np.array([[7.0], [3.4], [0.7], [0.34]], np.float32)
    np.testing.assert_allclose(in_groups(4, 2)(column)[:, 0], [7, 3, 0.7, 0.3], rtol=1e-6)


def test_of_four_weights_the_two_larger_stay() -> None:
    column = np.array([[1.0], [-4.0], [3.0], [2.0]], np.float32)
    assert two_of_four(column)[:, 0].tolist() == [0, -4, 3, 0]


@pytest.mark.parametrize("rounding", FORMATS.values(), ids=FORMATS.keys())
def test_torch_rounds_alike(rounding: Callable[[Array], Array]) -> None:
    torch = pytest.importorskip("torch", reason="torch is an extra")
    np.testing.assert_allclose(rounding(torch.from_numpy(NUMBERS)).numpy(), rounding(NUMBERS), rtol=1e-6)
