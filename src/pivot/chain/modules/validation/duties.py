"""What a host must check, and whether it has checked enough to claim (design, decision 13).

Duties are counted when an element is revealed, and struck off when their reports come. So a claim looks at two counters
and at the 24 segments, however many answers the epoch had.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import epoch as epoch_record
from pivot.chain.modules.inferences.answers import answers, answers_in
from pivot.chain.modules.members.state import group, is_member, weight
from pivot.chain.modules.randomness.state import chain
from pivot.chain.modules.validation.state import duties, put_duties
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import fixed_point
from pivot.protocol.duties import answer, drawn
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, InferenceValidationDetails


class Draw(NamedTuple):
    """What decides, together with an answer's details, whether a host must check it."""

    host: str
    element: bytes
    """Of the host's hash chain for the segment, 32 bytes."""
    params: ValidationParams
    """Of the epoch."""
    powers: Mapping[str, int]
    """The host's weight by model."""

    def names(self, details: InferenceValidationDetails) -> bool:
        """Whether the host must check this answer. Costs the same, however many answers its segment has."""
        return bool(drawn(self.element, [answer(self.params, details)], self.host, self.powers))


def draw(state: Reader, served: Epoch, host: str, element: bytes) -> Draw:
    """The draw for one host in the segment of an epoch to which its element (32 bytes) belongs."""
    return Draw(host, element, served.params.validation_params, powers(state, served.index, host))


def drawn_for(state: Reader, epoch: int, segment: int, host: str, element: bytes) -> list[str]:
    """Ids of a segment's answers that a host must check, given its element (32 bytes) for the segment."""
    return drawn(element, answers(state, epoch, segment), host, powers(state, epoch, host))


def powers(state: Reader, epoch: int, host: str) -> Mapping[str, int]:
    """The host's weight in each model's group of an epoch; models that it does not serve are not in it."""
    parent = group(state, epoch)
    models = () if parent is None else parent.sub_group_models
    found = {model: weight(state, epoch, host, model) for model in models}
    return {model: power for model, power in found.items() if power}


def count_due(state: State, epoch: int, segment: int, host: str, element: bytes) -> None:
    """A host has revealed the element of a segment: count its duties there."""
    due = len(drawn_for(state, epoch, segment, host, element))
    if due:
        record = duties(state, epoch, host)
        record.due += due
        put_duties(state, record)


def count_done(state: State, epoch: int, host: str) -> None:
    """Strike off one duty."""
    record = duties(state, epoch, host)
    record.done += 1
    put_duties(state, record)


def require_duties_done(state: Reader, epoch: int, host: str) -> None:
    """Whether a host may claim an epoch: no more of its duties are undone than the epoch's parameters allow (W-22).

    Where an element is missing nobody can tell what would have been drawn: all answers of its segment count as undone.
    Exempt are those who were no members, epoch 0, which had no sprint, and members without a hash chain in an epoch whose
    members were carried over. Raises NetworkError (DUTIES_MISSING).
    """
    served = epoch_record(state, epoch)
    if served is None or epoch == 0 or not is_member(state, epoch, host):
        return
    known = chain(state, epoch, host)
    if known is None and served.carried_over:
        return
    revealed = 0 if known is None else known.revealed
    hidden = sum(answers_in(state, epoch, segment) for segment in range(revealed, SEGMENTS))
    counted = duties(state, epoch, host)
    undone, due = counted.due - counted.done + hidden, counted.due + hidden
    if undone * ONE > due * fixed_point(served.params.validation_params.missing_duties_allowed):
        reason = f"; element {revealed} is not revealed" if hidden else ""
        raise NetworkError(
            NetworkCode.DUTIES_MISSING,
            f"Inference not validated: {undone} of {due} duties of {host} in epoch {epoch} are undone{reason}",
        )
