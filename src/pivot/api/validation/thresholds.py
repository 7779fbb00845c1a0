"""How far honest answers lie apart, by model: measured by benchmarks/calibration (docs/protocol/checking.md, 7)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pivot.api.validation.choice import Choosing

SAMPLING_DEFAULTS = "--generation-config"
OTHER_DEFAULTS = "--override-generation-config"
ENGINES_OWN = "vllm"


@dataclass(frozen=True)
class Thresholds:
    """Of one model. Distances are per token of the top of a position, surprisal is in nats."""

    distance_mean: float
    distance_variance: float
    distance_most: float
    """Of a single position."""
    greedy_gap: float
    """At temperature 0, a chosen token may stand so far below the most likely one."""
    surprisal_z: float
    surprisal_slack: float
    surprisal_drift: float
    """Per position: what rounding may shift."""
    choosing: Choosing | None = None
    """How its tokens are chosen when a request does not say; None when that is not known."""


UNMEASURED = Thresholds(
    distance_mean=0.003,
    distance_variance=1e-4,
    distance_most=0.1,
    greedy_gap=0.75,
    surprisal_z=3.5,
    surprisal_slack=8.0,
    surprisal_drift=0.005,
)
"""For models without a measurement: the published distances of honest 16-bit pairs (spec mlnode.md, 4.4), with room."""

MEASURED: Mapping[str, Thresholds] = {
    "pivot/tiny-chat": Thresholds(
        distance_mean=0.0065,
        distance_variance=2e-4,
        distance_most=0.1,
        greedy_gap=0.25,
        surprisal_z=3.5,
        surprisal_slack=8.0,
        surprisal_drift=0.005,
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
