"""MsgRegisterModel: a passed proposal adds a model, or changes one."""

from collections.abc import Sequence

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.models.state import MAX_MODEL_ID, put
from pivot.chain.types import Block
from pivot.primitives.fixed_point import ONE
from pivot.primitives.plain_text import is_printable
from pivot.protocol.decimals import InvalidDecimal, fixed_point
from pivot.protocol.engine_arguments import LEAST_LOGPROBS, MAX_LOGPROBS
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRegisterModel, MsgRegisterModelResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.pricing import MAX_PRICE, MAX_TOKENS_PER_REQUEST

GAS_OF_A_REGISTRATION = 50_000
MAX_TEXT_BYTES = 256
"""Of a repository, a commit, or one argument."""
MAX_ARGUMENTS = 64
MAX_FIGURE = 2**32
"""Of gigabytes of memory, or of tokens that a nonce stands for."""


def check_registration(message: MsgRegisterModel) -> None:
    """By governance alone. Raises NetworkError (NOT_GOVERNANCE, INVALID_FIELD)."""
    check_authority(message.authority)
    check_model(message)


def check_model(message: MsgRegisterModel | Model) -> None:
    """Refuse a model that no host could serve or nobody could check. Raises NetworkError (INVALID_FIELD)."""
    _require(0 < len(message.id.encode()) <= MAX_MODEL_ID, f"id must have 1 to {MAX_MODEL_ID} bytes")
    for name in ("id", "proposed_by", "hf_repo", "hf_commit"):
        text = getattr(message, name)
        _require(_is_plain(text), f"{name} must be printable ASCII, of {MAX_TEXT_BYTES} bytes at most")
    _require(message.coins_per_token <= MAX_PRICE, f"coins_per_token must not be above {MAX_PRICE}")
    _require(
        message.context_window <= MAX_TOKENS_PER_REQUEST, f"context_window must not be above {MAX_TOKENS_PER_REQUEST}"
    )
    for name in ("v_ram", "throughput_per_nonce"):
        _require(getattr(message, name) <= MAX_FIGURE, f"{name} must not be above {MAX_FIGURE}")
    try:
        threshold = fixed_point(message.validation_threshold)
    except InvalidDecimal as error:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"validation_threshold: {error}") from None
    _require(0 <= threshold <= ONE, "validation_threshold must be between 0 and 1")
    _check_arguments(message.model_args)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Arguments that every host has to serve the model with: `--key value …`, each key once."""
    _require(len(arguments) <= MAX_ARGUMENTS, f"model_args: {MAX_ARGUMENTS} at most")
    _require(
        all(each and _is_plain(each) for each in arguments),
        f"model_args must be printable ASCII, each of 1 to {MAX_TEXT_BYTES} bytes",
    )
    _require(not arguments or arguments[0].startswith("--"), "model_args must begin with an argument's name (--key)")
    keys = [each.partition("=")[0] for each in arguments if each.startswith("--")]
    for key in keys:
        _require(keys.count(key) == 1, f"model_args: {key} stands there twice")
    if MAX_LOGPROBS in keys:
        told = _value(arguments, MAX_LOGPROBS)
        _require(
            told.isascii() and told.isdigit() and int(told) >= LEAST_LOGPROBS,
            f"model_args: {MAX_LOGPROBS} must be at least {LEAST_LOGPROBS}, which checks of answers need",
        )


def _value(arguments: Sequence[str], key: str) -> str:
    """The value behind `--key value` or in `--key=value`, the key being there; empty if it has none."""
    place = next(place for place, each in enumerate(arguments) if each.partition("=")[0] == key)
    _, equals, value = arguments[place].partition("=")
    return value if equals else "".join(arguments[place + 1 : place + 2])


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_TEXT_BYTES and is_printable(text)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise NetworkError(NetworkCode.INVALID_FIELD, sentence)


def _register(block: Block, message: MsgRegisterModel) -> MsgRegisterModelResponse:
    """Write the model down. It has a price at once (decision 18); a group serves it from the next epoch on."""
    put(
        block.state,
        Model(
            proposed_by=message.proposed_by or message.authority,
            id=message.id,
            context_window=message.context_window,
            hf_repo=message.hf_repo,
            hf_commit=message.hf_commit,
            model_args=message.model_args,
            v_ram=message.v_ram,
            throughput_per_nonce=message.throughput_per_nonce,
            validation_threshold=message.validation_threshold if message.HasField("validation_threshold") else None,
            coins_per_token=message.coins_per_token,
        ),
    )
    block.emit("model_registered", model_id=message.id)
    return MsgRegisterModelResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgRegisterModel, _register, gas=lambda _: GAS_OF_A_REGISTRATION, check=check_registration),
]
