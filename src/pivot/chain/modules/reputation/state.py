"""A host's reputation follows from the summaries of its settled epochs; it has no rows of its own."""

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.rewards.state import summary
from pivot.chain.types import Reader
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import fixed_point
from pivot.protocol.duties import FULL_REPUTATION
from pivot.protocol.generated.inference.inference.types_pb2 import EpochPerformanceSummary

REMEMBERED_EPOCHS = 30
"""As long as summaries are kept."""


def reputation(state: Reader, host: str) -> int:
    """0 to 100, rounded down: the share of `epochs_to_max` in which the host has served, less what it has missed.

    Only epochs in which it was a member or answered count, so whoever merely is registered earns none (W-20). An epoch with
    more misses than `miss_percentage_cutoff` costs its share of misses times `miss_requests_penalty` epochs.
    """
    current = effective(state)
    params = current.params.validation_params
    cutoff, penalty = fixed_point(params.miss_percentage_cutoff), fixed_point(params.miss_requests_penalty)
    served = 0
    for index in range(max(current.index - REMEMBERED_EPOCHS, 0), current.index):
        done = summary(state, index, host)
        if done is not None:
            missed = missed_share(done)
            served += ONE - (missed * penalty // ONE if missed > cutoff else 0)
    return min(max(served, 0) * FULL_REPUTATION // (params.epochs_to_max * ONE), FULL_REPUTATION)


def missed_share(done: EpochPerformanceSummary) -> int:
    """Share of its requests that a host has missed, with 18 decimals; all of them, where it has answered none (W-20)."""
    asked: int = done.missed_requests + done.inference_count
    return done.missed_requests * ONE // asked if asked else 0
