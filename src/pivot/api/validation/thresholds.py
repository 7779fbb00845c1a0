"""How far honest answers lie apart, by model: measured by benchmarks/calibration (docs/protocol/checking.md, 7)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pivot.api.validation.choice import Choosing

SAMPLING_DEFAULTS = "--generation-config"
OTHER_DEFAULTS = "--override-generation-config"
ENGINES_OWN = "vllm"
CONFIDENCE = math.log(1e4)
"""An honest answer lies above a limit once in so many answers: e to this power."""


@dataclass(frozen=True)
class Spread:
    """What was measured of one position, and what follows for the mean over an answer."""

    mean: float
    variance: float
    most: float

    def limit(self, count: int) -> float:
        """Bernstein's bound on the mean of `count` honest positions, which an honest answer keeps with CONFIDENCE.

        It is never above what a single honest position may do, so not even one token passes whatever is told of it. What a
        single answer cannot show adds up in the chain's sequential test over all answers of a host.
        """
        spread = math.sqrt(2 * self.variance * CONFIDENCE / count)
        return min(self.mean + spread + self.most * CONFIDENCE / (3 * count), self.most)


@dataclass(frozen=True)
class Thresholds:
    """Of one model."""

    distance: Spread
    """The published distance, per token of the top of a position."""
    shift: Spread
    """How far log-probabilities of the top lie apart, in nats: what cheaper weights move and rounding hardly does."""
    greedy_gap: float
    """At temperature 0, a chosen token may stand so far below the most likely one, in nats."""
    usual_shift: float = 0.2
    """The shift that half of an answer's positions keep: what rounding rarely does, and then far, moves the mean alone."""
    drift: float = 0.02
    """Nats per token at temperature 1 that rounding may add to what a wager gains, seen over many tokens."""
    choosing: Choosing | None = None
    """How its tokens are chosen when a request does not say; None when that is not known."""


UNMEASURED = Thresholds(
    distance=Spread(mean=0.003, variance=1e-4, most=0.1),
    shift=Spread(mean=0.1, variance=0.02, most=1.0),
    greedy_gap=0.75,
)
"""For models without a measurement: the published distances of honest 16-bit pairs (spec mlnode.md, 4.4), with room."""

MEASURED: Mapping[str, Thresholds] = {
    "pivot/tiny-chat": Thresholds(
        distance=Spread(mean=0.0065, variance=2e-4, most=0.1),
        shift=Spread(mean=0.006, variance=1e-5, most=0.03),
        greedy_gap=0.25,
        usual_shift=0.012,
        drift=0.001,
        choosing=Choosing(),
    )
}
"""From fp32 and fp16 machines."""


def thresholds_of(model: str, arguments: Mapping[str, str]) -> tuple[Thresholds, Choosing]:
    """A model's thresholds, and how its tokens are chosen by default. arguments: of its registration, by name.

    Where the defaults are in the model's own files nothing is known of them: then any request may be tamer than it says.
    """
    found = MEASURED.get(model, UNMEASURED)
    if found.choosing is not None:
        return found, found.choosing
    engines_own = arguments.get(SAMPLING_DEFAULTS) == ENGINES_OWN and OTHER_DEFAULTS not in arguments
    return found, replace(Choosing(), exact=engines_own)
