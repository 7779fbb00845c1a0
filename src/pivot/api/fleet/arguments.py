"""Arguments with which a model is served: those of its registration on the chain, then the host's own.

What changes answers is fixed by the registration: a host may say the same, and nothing else (design, section 7).
"""

from collections.abc import Mapping, Sequence

from pivot.protocol.engine_arguments import (
    ARGUMENTS,
    DEFAULTS,
    LEAST_LOGPROBS,
    MAX_LOGPROBS,
    REVISION,
    SERVED_NAME,
    InvalidArgument,
    check,
    checked,
    enough_logprobs,
    joined,
    split,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Model


class ContradictingArgument(InvalidArgument):
    """A host's argument changes answers and says something else than the model's registration."""


def registered_arguments(model: Model) -> tuple[str, ...]:
    """What every host serves a model with: its registration's arguments, and the commit that its weights are pinned to."""
    arguments = tuple(model.model_args)
    named = {token.partition("=")[0] for token in arguments}
    return (*arguments, REVISION, model.hf_commit) if model.hf_commit and REVISION not in named else arguments


def combine(model: str, registered: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The registration's arguments of a model and the host's, whose word counts where answers stay the same.

    Raises InvalidArgument for one that no host may set, and ContradictingArgument.
    """
    fixed = split(registered)
    holds = {**DEFAULTS, SERVED_NAME: model, **fixed}
    return joined(fixed | {name: value for name, value in checked(own).items() if not _repeats(name, value, holds)})


def give_way(registered: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The registration's arguments, and of the host's those that change no answers: its GPUs are split as before."""
    try:
        fixed, wanted = split(registered), split(own)
    except InvalidArgument:
        return tuple(registered)
    return joined(fixed | {name: value for name, value in wanted.items() if _is_free(name, value)})


def _is_free(name: str, value: str) -> bool:
    try:
        check(name, value)
    except InvalidArgument:
        return False
    return not ARGUMENTS[name].changes_answers


def _repeats(name: str, value: str, holds: Mapping[str, str]) -> bool:
    """Whether an argument says only what holds anyway. Raises ContradictingArgument for a new one that changes answers."""
    if not ARGUMENTS[name].changes_answers:
        return False
    wanted, said = holds.get(name), f"{name} {value}"
    if value == wanted:
        return True
    if wanted is not None:
        reason = f"the model's registration says '{name} {wanted}'"
    elif name != MAX_LOGPROBS:
        reason = "the model's registration has none"
    elif enough_logprobs(value):
        return False
    else:
        reason = f"checks of answers need {LEAST_LOGPROBS} at least"
    raise ContradictingArgument(f"{said!r} changes answers: {reason}")
