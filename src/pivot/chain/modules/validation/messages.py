"""MsgRevealElement and MsgSubmitValidations: a host shows what it was drawn for, and reports on it."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.inferences.batches import item_result
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.randomness.reveal import (
    check_element,
    require_chain,
    require_element,
    require_epoch,
    reveal,
)
from pivot.chain.modules.validation.duties import count_due, draw
from pivot.chain.modules.validation.reports import Duty, process_report
from pivot.chain.types import Block
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgRevealElement,
    MsgRevealElementResponse,
    MsgSubmitValidations,
    MsgSubmitValidationsResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus, ValidationReport

REVEAL_GAS = 2_000
GAS_OF_A_REPORT = 5_000
MAX_REPORTS = 1_000
MAX_REPORT_BYTES = 512 * 1024


def check_reveal(message: MsgRevealElement) -> None:
    """Raises NetworkError (INVALID_FIELD)."""
    check_element(message.segment, message.element)


def check_validations(message: MsgSubmitValidations) -> None:
    """The message's own size and fields; reports are checked one by one.

    Raises SdkError (INVALID_ADDRESS), NetworkError (INVALID_FIELD, BATCH_TOO_LARGE).
    """
    check_address("creator", message.creator)
    if message.element:
        check_element(message.segment, message.element)
    elif message.segment >= SEGMENTS:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"segment must be between 0 and {SEGMENTS - 1}")
    if not 0 < len(message.reports) <= MAX_REPORTS:
        raise NetworkError(
            NetworkCode.BATCH_TOO_LARGE, f"a message holds 1 to {MAX_REPORTS} reports, not {len(message.reports)}"
        )
    if message.ByteSize() > MAX_REPORT_BYTES:
        raise NetworkError(
            NetworkCode.BATCH_TOO_LARGE, f"reports have at most {MAX_REPORT_BYTES} bytes, not {message.ByteSize()}"
        )


def process_reveal(block: Block, host: str, epoch: int, segment: int, element: bytes) -> None:
    """Take the next element of a host's hash chain, and count the duties that it shows. Raises as `reveal` does."""
    reveal(block, host, epoch, segment, element)
    count_due(block.state, epoch, segment, host, element)


def _reveal(block: Block, message: MsgRevealElement) -> MsgRevealElementResponse:
    process_reveal(block, message.creator, message.epoch_index, message.segment, message.element)
    return MsgRevealElementResponse()


def _submit(block: Block, message: MsgSubmitValidations) -> MsgSubmitValidationsResponse:
    """Reveal the segment's element if it is still to come, then take the reports, each in a frame of its own.

    An element that is revealed already may be sent again. INVALID hosts check nobody.
    Raises NetworkError: EPOCH_NOT_FOUND, NOT_A_MEMBER, WRONG_ELEMENT.
    """
    host, epoch, segment = message.creator, message.epoch_index, message.segment
    served = require_epoch(block, epoch)
    revealed = require_chain(block.state, epoch, host).revealed
    if require_participant(block.state, host).status == ParticipantStatus.INVALID:
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{host} has become INVALID and checks nobody")
    if message.element and segment >= revealed:
        process_reveal(block, host, epoch, segment, message.element)
    element = require_element(block, epoch, segment, host)
    if message.element not in (b"", element):
        raise NetworkError(NetworkCode.WRONG_ELEMENT, f"element is not element {segment}, which is revealed already")
    duty = Duty(epoch, segment, draw(block.state, served, host, element))

    def result(report: ValidationReport) -> ItemResult:
        return item_result(block, "report_refused", report.inference_id, lambda: process_report(block, duty, report))

    return MsgSubmitValidationsResponse(reports=[result(report) for report in message.reports])


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgRevealElement, _reveal, gas=lambda _: REVEAL_GAS, check=check_reveal, duty=True),
    MessageHandler(
        MsgSubmitValidations,
        _submit,
        gas=lambda message: REVEAL_GAS + GAS_OF_A_REPORT * len(message.reports),
        check=check_validations,
        duty=True,
    ),
]
