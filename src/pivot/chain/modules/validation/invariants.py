"""What holds after every block."""

from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.inferences.answers import answers_in, requests
from pivot.chain.modules.validation.state import all_duties, reported
from pivot.chain.types import Reader
from pivot.protocol.epochs import SEGMENTS


def check_duties(state: Reader) -> None:
    """Nobody has done more than it had to do, and every duty done is a report. Raises AssertionError.

    Of epochs whose rows are not being deleted.
    """
    for record in all_duties(state):
        if record.epoch_index < effective_index(state) - 1:
            continue
        reports = sum(1 for _ in reported(state, record.epoch_index, record.participant))
        if not reports == record.done <= record.due:
            raise AssertionError(f"{reports} reports do not fit the duties of {record}")


def check_segments(state: Reader) -> None:
    """The epoch in force has the answers of its segments. Raises AssertionError."""
    running = effective_index(state)
    answered = sum(answers_in(state, running, segment) for segment in range(SEGMENTS))
    if requests(state, running) != answered:
        raise AssertionError(f"epoch {running} has {requests(state, running)} answers, its segments {answered}")
