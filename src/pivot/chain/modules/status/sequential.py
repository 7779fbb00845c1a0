"""The sequential probability ratio test of a host's answers, in fixed point (design, decision 15).

Two hypotheses: an honest host's checked answers fail at `false_positive_rate`, a fraud's at `fraud_rate`. Every check adds
the logarithm of how much likelier a fraud makes it. Above ln((1 − error) / error) the host is taken for a fraud; below the
negative of that it is taken for honest, and further good answers buy no further credit.
"""

from functools import lru_cache
from typing import NamedTuple

from pivot.primitives.fixed_point import ONE, ln
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams

UNLIKELY = ONE // 10**6
"""A run of failures that an honest host has no more often than this needs no further sample."""


class Steps(NamedTuple):
    """What the test adds up, with 18 decimals."""

    passed: int
    failed: int
    bound: int
    """Evidence of fraud at its negative of honesty."""
    longest_run: int
    """Failures in a row that settle it, whatever the sample is."""


def steps(params: ValidationParams) -> Steps:
    """The test's numbers, from an epoch's parameters."""
    return _steps(
        fixed_point(params.false_positive_rate), fixed_point(params.fraud_rate), fixed_point(params.test_error)
    )


@lru_cache(maxsize=8)
def _steps(honest: int, fraud: int, error: int) -> Steps:
    return Steps(
        passed=ln((ONE - fraud) * ONE // (ONE - honest)),
        failed=ln(fraud * ONE // honest),
        bound=ln((ONE - error) * ONE // error),
        longest_run=_longest_run(honest),
    )


def _longest_run(honest: int) -> int:
    run, likelihood = 0, ONE
    while likelihood >= UNLIKELY:
        run, likelihood = run + 1, likelihood * honest // ONE
    return run
