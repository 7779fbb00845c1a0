"""What an ML node is seen doing, whether that is its duty, and what to say to it when it is not."""

from dataclasses import dataclass, replace

from pivot.api.fleet.client import MlNodeClient, MlNodeRefused
from pivot.api.fleet.interface import Duty, Generate, Serve, Stop, Train, Validate
from pivot.protocol.mlnode_api import MAX_ERROR_LENGTH, Mode, PowInit, PowState, PowStatus, TrainStatus

LOOKS_BETWEEN = 10
"""So many looks a healthy port is believed to serve what it did: another engine may have taken its place between two of them."""


@dataclass(frozen=True)
class Observation:
    """One look at a node that answered."""

    mode: Mode
    proof: PowStatus | None = None
    """Only in the mode POW."""
    healthy: bool = False
    """Whether the inference port answers; only in the mode INFERENCE."""
    models: frozenset[str] = frozenset()
    """What the inference port serves; only while it is healthy."""
    looks_since: int = 0
    """Looks since it was asked what it serves."""
    error: str = ""
    """Why the node's last activity ended by itself, or what its proof of compute lacks, as it says."""
    warnings: tuple[str, ...] = ()
    """What is amiss while it works on, as it says: a late sprint, a clock that jumped, a lost device."""
    training: TrainStatus | None = None
    """In the mode TRAIN, and in the mode STOPPED of a node that should train."""


async def observe(client: MlNodeClient, before: Observation | None, duty: Duty | None) -> Observation:
    """Look at a node with this duty. Raises MlNodeError. before: the last look, unless it is in doubt.

    A node that should end its proof of compute or its training need not be able to tell how they stand.
    """
    state = await client.state()
    seen = Observation(state.state, error=_cut(state.error), warnings=tuple(state.warnings))
    try:
        if seen.mode == Mode.POW:
            proof = await client.pow_status()
            return replace(seen, proof=proof, error=seen.error or _cut(proof.error))
        if seen.mode == Mode.TRAIN or (seen.mode == Mode.STOPPED and isinstance(duty, Train)):
            return replace(seen, training=await client.train_status())
    except MlNodeRefused as refusal:
        if not isinstance(duty, Serve | Stop):
            raise
        return replace(seen, error=seen.error or str(refusal))
    if seen.mode != Mode.INFERENCE or not await client.inference_is_healthy():
        return seen
    if before is not None and before.healthy and before.looks_since < LOOKS_BETWEEN:
        return replace(seen, healthy=True, models=before.models, looks_since=before.looks_since + 1)
    return replace(seen, healthy=True, models=await client.served_models())


def fulfils(duty: Duty, seen: Observation) -> bool:
    """Whether the node does what it should."""
    match duty:
        case Stop():
            return seen.mode == Mode.STOPPED
        case Serve(model):
            return seen.healthy and model in seen.models
        case Generate(init):
            return _in_sprint(seen, init, PowState.GENERATING) and not _lost_leaves(seen, init)
        case Validate(init):
            return _in_sprint(seen, init, PowState.VALIDATING)
        case Train():
            return seen.training is not None and seen.training.task_id == duty.task_id


def under_way(duty: Duty, seen: Observation) -> bool:
    """Whether a node that took the command is still getting there, so that repeating it would only throw it back."""
    match duty:
        case Stop() | Train():
            return False
        case Serve():
            return seen.mode == Mode.INFERENCE and not seen.healthy
        case Generate(init) | Validate(init):
            return _in_sprint(seen, init, PowState.LOADING)


async def command(client: MlNodeClient, duty: Duty, seen: Observation) -> None:
    """Tell the node what it should do, ending first what must not run beside it. Raises MlNodeError."""
    match duty:
        case Stop():
            await client.stop()
        case Serve(model, arguments):
            if seen.mode != Mode.STOPPED:
                await client.stop()
            await client.inference_up(model, arguments)
        case Generate(init):
            if seen.mode != Mode.STOPPED and not _is_sprint(seen, init):
                await client.stop()
            await client.init_generate(init)
        case Validate(init):
            if seen.mode not in {Mode.STOPPED, Mode.POW}:
                await client.stop()
            await client.init_validate(init)
        case Train(start):
            if seen.mode != Mode.STOPPED:
                await client.stop()
            await client.train_start(start)


def same(duty: Duty | None, other: Duty | None) -> bool:
    """Whether two duties are the same but for the leaf at which a sprint would go on, and how much of it is over."""
    return _without_progress(duty) == _without_progress(other)


def _without_progress(duty: Duty | None) -> Duty | None:
    if not isinstance(duty, Generate):
        return duty
    return Generate(duty.init.model_copy(update={"first_index": 0, "blocks_late": 0}))


def _is_sprint(seen: Observation, init: PowInit) -> bool:
    return seen.proof is not None and seen.proof.epoch == init.epoch


def _in_sprint(seen: Observation, init: PowInit, state: PowState) -> bool:
    return _is_sprint(seen, init) and seen.proof is not None and seen.proof.status == state


def _lost_leaves(seen: Observation, init: PowInit) -> bool:
    """Whether the node believes to have delivered leaves that are not here (this side lost its disk)."""
    return seen.proof is not None and (seen.proof.next_index or 0) > init.first_index


def _cut(error: str | None) -> str:
    """What a node says of its failure, as far as it is kept."""
    return (error or "")[:MAX_ERROR_LENGTH]
