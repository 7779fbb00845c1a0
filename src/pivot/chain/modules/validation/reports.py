"""What one report changes: the checker's duty, the answer's status and pay, its executor's standing, or a dispute."""

from typing import NamedTuple

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.disputes.state import dispute
from pivot.chain.modules.disputes.voting import open_dispute
from pivot.chain.modules.inferences import sharing
from pivot.chain.modules.inferences.answers import details
from pivot.chain.modules.inferences.state import inference, put
from pivot.chain.modules.rewards.earnings import note_validated
from pivot.chain.modules.status.state import note_passed
from pivot.chain.modules.validation.duties import Draw, count_done
from pivot.chain.modules.validation.state import has_reported, put_report
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    Inference,
    InferenceStatus,
    InferenceValidationDetails,
    ValidationReport,
)

MILLION = 10**6
_VERDICTS = (AnswerVerdict.ANSWER_PASSED, AnswerVerdict.ANSWER_FAILED, AnswerVerdict.ANSWER_WITHHELD)


class Duty(NamedTuple):
    """A host's duties in one segment of an epoch."""

    epoch: int
    segment: int
    draw: Draw

    @property
    def host(self) -> str:
        """The checker."""
        return self.draw.host


def check_report(report: ValidationReport) -> None:
    """Raises NetworkError (INVALID_FIELD)."""
    if report.verdict not in _VERDICTS:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"verdict {report.verdict} is none that a report can have")
    if report.value_e6 > MILLION:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"value_e6 is {report.value_e6}, at most {MILLION}")


def process_report(block: Block, duty: Duty, report: ValidationReport) -> None:
    """Take a checker's report on an answer that it was drawn for, once (W-5).

    Raises NetworkError: INVALID_FIELD, INFERENCE_NOT_FOUND, NOT_DRAWN, ALREADY_DONE.
    """
    check_report(report)
    known, record = _require_answer(block, duty, report.inference_id)
    if not duty.draw.names(known):
        own = ": nobody checks its own answers" if record.executed_by == duty.host else ""
        raise NetworkError(
            NetworkCode.NOT_DRAWN, f"{duty.host} was not drawn to check inference {report.inference_id}{own}"
        )
    if has_reported(block.state, duty.epoch, duty.host, report.inference_id):
        raise NetworkError(NetworkCode.ALREADY_DONE, f"{duty.host} has reported on inference {report.inference_id}")
    put_report(block.state, duty.epoch, duty.host, report.inference_id, report.verdict)
    count_done(block.state, duty.epoch, duty.host)
    passed = report.verdict == AnswerVerdict.ANSWER_PASSED
    disputed = False
    if record.status != InferenceStatus.INVALIDATED:
        if passed:
            _pass(block, record, duty.host)
        else:
            disputed = _accuse(block, record, duty.host, report.verdict)
        put(block.state, record)
    block.emit(
        "inference_validation",
        inference_id=record.inference_id,
        validator=duty.host,
        needs_revalidation=str(disputed).lower(),
        passed=str(passed).lower(),
    )


def _require_answer(block: Block, duty: Duty, inference_id: str) -> tuple[InferenceValidationDetails, Inference]:
    known = details(block.state, duty.epoch, duty.segment, inference_id)
    record = None if known is None else inference(block.state, inference_id)
    if known is None or record is None:
        raise NetworkError(
            NetworkCode.INFERENCE_NOT_FOUND,
            f"segment {duty.segment} of epoch {duty.epoch} has no answer {inference_id[:100]!r}",
        )
    return known, record


def _pass(block: Block, record: Inference, checker: str) -> None:
    """The checker gets its part of the pay. An answer's first pass is evidence for its executor; a vote under way goes on."""
    sharing.join(block.state, record, checker)
    if record.status == InferenceStatus.FINISHED:
        record.status = InferenceStatus.VALIDATED
        note_validated(block.state, record.executed_by)
        note_passed(block, record.executed_by)


def _accuse(block: Block, record: Inference, checker: str, verdict: AnswerVerdict) -> bool:
    """Open a dispute, with pay for the accuser. An answer is disputed once: later failures are duties done, and no more."""
    if dispute(block.state, record.inference_id) is not None:
        return False
    sharing.join(block.state, record, checker)
    open_dispute(block, record, checker, verdict)
    return True
