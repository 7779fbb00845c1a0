"""What a start or a finish must look like, whatever the state is. All of these raise Rejection and change nothing."""

import re
from base64 import b64encode

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode, SdkError
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.models.state import MAX_MODEL_ID
from pivot.primitives.addresses import to_bytes
from pivot.primitives.hashes import hash160
from pivot.primitives.keys import InvalidSignature, decode_signature, is_public_key
from pivot.protocol.draw import EXECUTOR_CANDIDATES
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgStartInference,
)
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST

MAX_BATCH_ITEMS = 1_000
MAX_BATCH_BYTES = 512 * 1024
MAX_NODE_VERSION_LENGTH = 64
_HASH = re.compile(r"[0-9a-f]{64}")


def check_start(start: MsgStartInference) -> None:
    """A start on its own: whoever sends it is the transfer agent, and the executor has accepted."""
    _require_party("transferred_by", start.transferred_by, start.creator)
    check_request(start)
    signature("acceptance_signature", start.acceptance_signature)


def check_request(start: MsgStartInference) -> None:
    """What a start says of the request, also inside a finish.

    The prompt's hash must be exactly 64 digits: the developer signs it and the time stamp one after the other, so a longer
    hash with a shorter time stamp would be the same signed text.
    """
    signature("inference_id", start.inference_id)
    signature("transfer_signature", start.transfer_signature)
    _require_hash("prompt_hash", start.prompt_hash)
    check_address("requested_by", start.requested_by)
    check_address("transferred_by", start.transferred_by)
    check_address("assigned_to", start.assigned_to)
    _require_length("model", start.model, MAX_MODEL_ID)
    if len(start.node_version) > MAX_NODE_VERSION_LENGTH:
        raise _invalid(f"node_version has {len(start.node_version)} characters, at most {MAX_NODE_VERSION_LENGTH}")
    if not 0 < start.max_tokens <= MAX_TOKENS_PER_REQUEST:
        raise _invalid(f"max_tokens is {start.max_tokens}, not 1 to {MAX_TOKENS_PER_REQUEST}")
    _require_tokens("prompt_token_count", start.prompt_token_count)
    if start.request_timestamp <= 0:
        raise _invalid(f"request_timestamp is {start.request_timestamp}, not nanoseconds since 1970")
    if start.attempt >= EXECUTOR_CANDIDATES:
        raise _invalid(f"attempt is {start.attempt}; a request has {EXECUTOR_CANDIDATES} executors, counted from 0")
    key = start.developer_public_key
    if not is_public_key(key) or hash160(key) != to_bytes(start.requested_by):
        raise NetworkError(
            NetworkCode.KEY_DOES_NOT_MATCH_ADDRESS,
            f"developer_public_key {key[:33].hex()} is not the key of requested_by {start.requested_by}",
        )


def check_finish(finish: MsgFinishInference) -> None:
    """A finish: whoever sends it is the executor, and the start inside speaks of the same inference and executor."""
    _require_party("executed_by", finish.executed_by, finish.creator)
    check_request(finish.start)
    if finish.start.inference_id != finish.inference_id:
        raise _invalid(f"start.inference_id is {finish.start.inference_id}, not {finish.inference_id}")
    if finish.start.assigned_to != finish.executed_by:
        raise _invalid(f"executed_by is {finish.executed_by}, but start.assigned_to is {finish.start.assigned_to}")
    signature("executor_signature", finish.executor_signature)
    _require_hash("response_hash", finish.response_hash)
    _require_hash("artifact_hash", finish.artifact_hash)
    _require_tokens("prompt_token_count", finish.prompt_token_count)
    _require_tokens("completion_token_count", finish.completion_token_count)


def check_batch(batch: MsgRecordInferences) -> None:
    """The size of a batch. Its items are checked one by one, each in its own frame (design, decision 16)."""
    check_address("creator", batch.creator)
    items = len(batch.starts) + len(batch.finishes)
    if not 0 < items <= MAX_BATCH_ITEMS:
        raise NetworkError(NetworkCode.BATCH_TOO_LARGE, f"a batch holds 1 to {MAX_BATCH_ITEMS} items, not {items}")
    size = batch.ByteSize()
    if size > MAX_BATCH_BYTES:
        raise NetworkError(NetworkCode.BATCH_TOO_LARGE, f"a batch has at most {MAX_BATCH_BYTES} bytes, not {size}")


def signature(name: str, text: str) -> bytes:
    """The 64 bytes of a signature. Raises NetworkError (INVALID_SIGNATURE), naming the field.

    Only one text is accepted for the same bytes: base64 leaves bits unused at its end, and an id that can be written in
    two ways could be paid twice.
    """
    try:
        raw = decode_signature(text)
    except InvalidSignature as error:
        raise NetworkError(NetworkCode.INVALID_SIGNATURE, f"{name}: {error}") from None
    if b64encode(raw).decode() != text:
        raise NetworkError(NetworkCode.INVALID_SIGNATURE, f"{name}: {text} is not the base64 that encoders write")
    return raw


def _require_party(name: str, party: str, creator: str) -> None:
    check_address(name, party)
    if creator != party:
        raise SdkError(SdkCode.UNAUTHORIZED, f"creator is {creator!r}, but {name} is {party}")


def _require_hash(name: str, text: str) -> None:
    if not _HASH.fullmatch(text):
        raise _invalid(f"{name} is {text[:80]!r}, not 64 lower-case hexadecimal digits")


def _require_length(name: str, text: str, most: int) -> None:
    if not 0 < len(text.encode()) <= most:
        raise _invalid(f"{name} has {len(text.encode())} bytes, not 1 to {most}")


def _require_tokens(name: str, tokens: int) -> None:
    if tokens > MAX_TOKENS_PER_REQUEST:
        raise _invalid(f"{name} is {tokens}, more than {MAX_TOKENS_PER_REQUEST}")


def _invalid(log: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, log)
