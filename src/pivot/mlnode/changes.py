"""Every way from one of the ML node's modes to another, who asks for it, and how long it may take (docs/mlnode.md, Modes)."""

from dataclasses import dataclass

from pivot.protocol.mlnode_api import Mode

ENGINE_START_S = 1_500.0
"""Longer than an engine's own patience with itself."""
START_S = 60.0
STOP_S = 45.0
"""How long an activity may take to end before its processes are killed."""
FORCED_STOP_S = 5.0
"""How long it may take after that. Both together are less than the minute for which the API node waits."""


@dataclass(frozen=True)
class Change:
    """One way from mode to mode."""

    asked_by: str
    begins_in: frozenset[Mode]
    leads_to: Mode
    running: str
    """What happens to what runs."""
    limit_s: float
    """What takes longer is ended by force, and its caller is told."""


STOPPED, POW, INFERENCE, TRAIN = (frozenset({mode}) for mode in (Mode.STOPPED, Mode.POW, Mode.INFERENCE, Mode.TRAIN))
ANY = frozenset(Mode)

SERVE = Change(
    "POST /inference/up",
    STOPPED | INFERENCE,
    Mode.INFERENCE,
    "the same model goes on, another takes its place",
    ENGINE_START_S,
)
GENERATE = Change(
    "POST /pow/init/generate", STOPPED | POW, Mode.POW, "the same sprint goes on, another takes its place", START_S
)
CHECK = Change("POST /pow/init/validate", STOPPED | POW, Mode.POW, "leaves made so far are still sent", START_S)
LEARN = Change("POST /train/start", STOPPED, Mode.TRAIN, "nothing does; a parked engine is ended", START_S)
END = Change(
    "POST /stop", ANY, Mode.STOPPED, "an engine is parked, all else ended, a start interrupted", STOP_S + FORCED_STOP_S
)
END_NODE = Change("SIGTERM", ANY, Mode.STOPPED, "is ended, also a parked engine, a start interrupted", END.limit_s)
END_SERVING = Change("POST /inference/down", STOPPED | INFERENCE, Mode.STOPPED, END_NODE.running, END.limit_s)
END_PROOF = Change("POST /pow/stop", STOPPED | POW, Mode.STOPPED, "is ended, a start interrupted", END.limit_s)
END_TRAINING = Change("POST /train/stop", TRAIN, Mode.STOPPED, END_PROOF.running, END.limit_s)
BREAK = Change(
    "what runs, when it ends by itself", ANY - STOPPED, Mode.STOPPED, "its rest is ended, its reason kept", END.limit_s
)

CHANGES = (SERVE, GENERATE, CHECK, LEARN, END, END_NODE, END_SERVING, END_PROOF, END_TRAINING, BREAK)
