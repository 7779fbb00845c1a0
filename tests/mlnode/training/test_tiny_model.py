import numpy as np
import pytest

from pivot.mlnode.training.tiny_model import (
    PARAMETERS,
    SYMBOLS,
    Adam,
    batches,
    initial_parameters,
    loss_and_gradient,
)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    parameters = initial_parameters(1).astype(np.float64)
    batch = next(batches(3, 64))
    _, gradient = loss_and_gradient(parameters, *batch)  # type: ignore[arg-type]
    direction, step = np.random.default_rng(0).normal(size=PARAMETERS), 1e-5
    above, _ = loss_and_gradient(parameters + step * direction, *batch)  # type: ignore[arg-type]
    below, _ = loss_and_gradient(parameters - step * direction, *batch)  # type: ignore[arg-type]
    assert gradient @ direction == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_an_untrained_model_guesses() -> None:
    loss, _ = loss_and_gradient(initial_parameters(7), *next(batches(9, 4_096)))
    assert loss == pytest.approx(np.log(SYMBOLS), abs=0.1)


def test_shards_differ_and_each_comes_again() -> None:
    (first, _), (again, _), (other, _) = next(batches(1, 32)), next(batches(1, 32)), next(batches(2, 32))
    assert (first == again).all()
    assert (first != other).any()


def test_adam_lowers_the_loss_and_keeps_single_precision() -> None:
    parameters, adam, shard = initial_parameters(7), Adam(3e-3), batches(1, 64)
    judged = next(batches(99, 1_024))
    before, _ = loss_and_gradient(parameters, *judged)
    for _ in range(50):
        parameters = adam.step(parameters, loss_and_gradient(parameters, *next(shard))[1])
    after, _ = loss_and_gradient(parameters, *judged)
    assert after < before - 0.2
    assert parameters.dtype == np.float32
