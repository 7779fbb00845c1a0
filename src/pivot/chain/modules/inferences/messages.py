"""MsgStartInference, MsgFinishInference, MsgRecordInferences.

A start tells that an executor has accepted a request, a finish what it answered. A finish holds the whole start and stands
alone: it opens the inference if the start has not come. Whichever comes first locks the price and sets the escrow aside.
What the first one said of the request is what counts; a start that comes after the finish is welcome and changes nothing.
"""

from collections.abc import Callable
from typing import TypeVar

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences import escrow
from pivot.chain.modules.inferences.answers import note_answer
from pivot.chain.modules.inferences.batches import item_result
from pivot.chain.modules.inferences.checks import check_batch, check_finish, check_start
from pivot.chain.modules.inferences.opening import (
    NANOSECONDS_PER_MILLISECOND,
    HostKeys,
    opened,
    require_accepted,
    require_signed,
)
from pivot.chain.modules.inferences.state import close, inference, insert
from pivot.chain.modules.pricing.state import note_tokens
from pivot.chain.modules.rewards.state import note_finished
from pivot.chain.modules.statistics.state import note_answered
from pivot.chain.types import Block
from pivot.protocol import pricing
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgFinishInference,
    MsgFinishInferenceResponse,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
    MsgStartInferenceResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus
from pivot.protocol.signing import finish_sign_bytes

GAS_OF_A_SIGNATURE = 1_000
GAS_OF_A_START = 10_000 + 3 * GAS_OF_A_SIGNATURE
GAS_OF_A_FINISH = 10_000 + 3 * GAS_OF_A_SIGNATURE

Item = TypeVar("Item", MsgStartInference, MsgFinishInference)


def process_start(block: Block, start: MsgStartInference, keys: HostKeys) -> None:
    """Open an inference that its executor has accepted, and set its escrow aside.

    A start that comes after the finish changes nothing. Raises NetworkError: INFERENCE_ID_EXISTS for a second start,
    INFERENCE_EXPIRED, REQUESTER_CANNOT_PAY, and whatever `opened` refuses.
    """
    known = inference(block.state, start.inference_id)
    if known is not None:
        require_new(known)
        return
    record = opened(block, start, keys)
    require_accepted(keys, start)
    record.expires_at_height = block.height + effective(block.state).params.validation_params.expiration_blocks
    escrow.hold(block.state, record)
    insert(block.state, record)
    block.emit("inference_started", inference_id=record.inference_id)


def process_finish(block: Block, finish: MsgFinishInference, keys: HostKeys) -> None:
    """Close an inference that its executor has answered, and charge what was used, never more than the escrow.

    What is left of the escrow goes back at once; the cost becomes the executor's earnings. A second finish is refused: an
    inference is paid exactly once. Tokens count for prices and statistics as far as the escrow was meant to pay for them: more
    of them would cost nothing, and move the price for everybody. Raises NetworkError: ALREADY_DONE, INFERENCE_EXPIRED, NOT_DRAWN
    for another executor than the recorded one, INVALID_SIGNATURE, and what opening refuses.
    """
    record = inference(block.state, finish.inference_id)
    if record is None:
        record = opened(block, finish.start, keys)
        escrow.hold(block.state, record)
        insert(block.state, record)
    require_open(record)
    require_executor(record, finish)
    require_signed(keys, finish.executed_by, "executor_signature", finish.executor_signature, finish_sign_bytes(finish))

    cost = pricing.cost(
        finish.prompt_token_count, finish.completion_token_count, record.per_token_price, record.escrow_amount
    )
    tokens = min(
        finish.prompt_token_count + finish.completion_token_count, record.prompt_token_count + record.max_tokens
    )
    escrow.release(block.state, record, cost)
    record.status = InferenceStatus.FINISHED
    record.executed_by = finish.executed_by
    record.execution_signature = finish.executor_signature
    record.response_hash = finish.response_hash
    record.artifact_hash = finish.artifact_hash
    record.prompt_token_count = finish.prompt_token_count
    record.completion_token_count = finish.completion_token_count
    record.end_block_height = block.height
    record.end_block_timestamp = block.time // NANOSECONDS_PER_MILLISECOND
    note_answer(block, record)
    close(block.state, record)
    note_finished(block.state, record.executed_by, cost)
    note_tokens(block.state, record.model, tokens)
    note_answered(block.state, record, tokens)
    block.emit("inference_finished", inference_id=record.inference_id)


def require_new(known: Inference) -> None:
    """A start may come again only after its finish, where it says nothing new."""
    if known.status == InferenceStatus.STARTED:
        raise NetworkError(NetworkCode.INFERENCE_ID_EXISTS, f"inference {known.inference_id} has already been started")
    _require_not_expired(known)


def require_open(record: Inference) -> None:
    """The inference waits for its finish."""
    _require_not_expired(record)
    if record.status != InferenceStatus.STARTED:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"inference {record.inference_id} has already been finished")


def require_executor(record: Inference, finish: MsgFinishInference) -> None:
    """Only the executor that the record names may finish."""
    if finish.executed_by != record.expected_executor:
        raise NetworkError(
            NetworkCode.NOT_DRAWN,
            f"inference {record.inference_id} is {record.expected_executor}'s to finish, not {finish.executed_by}'s",
        )


def require_own(creator: str, item: MsgStartInference | MsgFinishInference) -> None:
    """Everything in a batch is said by its creator."""
    if item.creator != creator:
        raise SdkError(SdkCode.UNAUTHORIZED, f"creator is {item.creator!r}, but the batch was made by {creator}")


def _require_not_expired(record: Inference) -> None:
    if record.status == InferenceStatus.EXPIRED:
        raise NetworkError(
            NetworkCode.INFERENCE_EXPIRED,
            f"inference {record.inference_id} expired at height {record.expires_at_height}",
        )


def _start(block: Block, start: MsgStartInference) -> MsgStartInferenceResponse:
    process_start(block, start, HostKeys(block))
    return MsgStartInferenceResponse(inference_index=start.inference_id)


def _finish(block: Block, finish: MsgFinishInference) -> MsgFinishInferenceResponse:
    process_finish(block, finish, HostKeys(block))
    return MsgFinishInferenceResponse(inference_index=finish.inference_id)


def _record(block: Block, batch: MsgRecordInferences) -> MsgRecordInferencesResponse:
    """Starts, then finishes, each in its own frame: one that is refused leaves nothing and spoils no other."""
    keys = HostKeys(block)

    def start(item: MsgStartInference) -> None:
        check_start(item)
        process_start(block, item, keys)

    def finish(item: MsgFinishInference) -> None:
        check_finish(item)
        process_finish(block, item, keys)

    return MsgRecordInferencesResponse(
        starts=[_result(block, batch, item, start) for item in batch.starts],
        finishes=[_result(block, batch, item, finish) for item in batch.finishes],
    )


def _result(block: Block, batch: MsgRecordInferences, item: Item, process: Callable[[Item], None]) -> ItemResult:
    def run() -> None:
        require_own(batch.creator, item)
        process(item)

    return item_result(block, "inference_refused", item.inference_id, run)


def _gas_of_a_batch(batch: MsgRecordInferences) -> int:
    return GAS_OF_A_START * len(batch.starts) + GAS_OF_A_FINISH * len(batch.finishes)


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgStartInference, _start, gas=lambda _: GAS_OF_A_START, check=check_start, duty=True),
    MessageHandler(MsgFinishInference, _finish, gas=lambda _: GAS_OF_A_FINISH, check=check_finish, duty=True),
    MessageHandler(MsgRecordInferences, _record, gas=_gas_of_a_batch, check=check_batch, duty=True),
]
