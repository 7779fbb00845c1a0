"""The hop from transfer agent to executor over HTTP (docs/protocol/requests.md).

Request: `POST /v1/chat/completions` with the developer's body, untouched, and the headers below. Answer: an error as any
other, or 200 with the executor's signed acceptance in `X-Acceptance` as soon as it has a node. The body then holds empty
lines while the node has not begun (so that a dead executor is told from a slow one), one line of JSON with the status and
kind of the answer, and the answer itself.
"""

import base64
import binascii
import itertools
import secrets
from collections.abc import Mapping

import orjson
import structlog
from google.protobuf.message import DecodeError

from pivot.api.http.errors import BadRequest
from pivot.api.inference.parts import EVENT_STREAM, JSON, Head
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference

INFERENCE_ID_HEADER = "X-Inference-Id"
START_HEADER = "X-Start"
"""base64 of the serialized MsgStartInference, signed by the transfer agent."""
PATIENCE_HEADER = "X-Patience"
"""Milliseconds that the transfer agent gives the executor to find a free node."""
ACCEPTANCE_HEADER = "X-Acceptance"
REQUEST_ID_HEADER = "X-Request-Id"
ANSWER_TYPE = "application/vnd.pivot.answer"
HEARTBEAT = b"\n"
HEARTBEAT_SECONDS = 2.0
MAX_HEAD_BYTES = 1_024
MAX_START_BYTES = 2_048
"""A start has some 700 bytes; a whole batch of them must fit into one transaction."""
MAX_PATIENCE_DIGITS = 9
LONGEST_PATIENCE_SECONDS = 30.0
_HERE = secrets.token_hex(8)
"""No other process has the same, nor can a developer know it."""
_numbers = itertools.count(1)


def named(request_id: str) -> dict[str, str]:
    """The header that gives an ML node a request's name, for its log.

    Engines take it for the name under which they know a request, and refuse a second one of that name. Developers may
    give many requests the same one, so each gets an ending of its own.
    """
    return {REQUEST_ID_HEADER: f"{request_id}.{_HERE}{next(_numbers)}"}


def request_headers(start: MsgStartInference, patience_s: float) -> dict[str, str]:
    """Headers of a request to an executor. The developer's name for the request goes with it, into the executor's log."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {
        **({REQUEST_ID_HEADER: request_id} if request_id else {}),
        "Content-Type": "application/json",
        INFERENCE_ID_HEADER: start.inference_id,
        START_HEADER: base64.b64encode(start.SerializeToString()).decode(),
        PATIENCE_HEADER: str(int(patience_s * 1000)),
    }


def is_executor_request(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes from a transfer agent."""
    return b"x-inference-id" in headers and b"x-start" in headers


def read_start(headers: Mapping[bytes, bytes]) -> MsgStartInference:
    """The start in a request's headers. Raises BadRequest.

    It will travel inside this host's finish. The chain refuses a transaction with a field that it does not know, and with it
    the whole batch; so such fields, which protobuf keeps in silence, are dropped here.
    """
    try:
        raw = base64.b64decode(headers[b"x-start"], validate=True)
        start = MsgStartInference.FromString(raw)
    except (binascii.Error, ValueError, DecodeError):
        raise BadRequest(f"{START_HEADER} is not a MsgStartInference in base64", param=START_HEADER) from None
    if len(raw) > MAX_START_BYTES:
        raise BadRequest(f"{START_HEADER} holds {len(raw)} bytes, at most {MAX_START_BYTES}", param=START_HEADER)
    start.DiscardUnknownFields()
    if start.inference_id.encode() != headers[b"x-inference-id"]:
        raise BadRequest(f"{INFERENCE_ID_HEADER} is not the id in {START_HEADER}", param=INFERENCE_ID_HEADER)
    return start


def read_patience(headers: Mapping[bytes, bytes]) -> float:
    """Seconds to wait for a free node; the longest without the header, or with nonsense in it."""
    value = headers.get(b"x-patience", b"")
    if not value.isdigit() or len(value) > MAX_PATIENCE_DIGITS:
        return LONGEST_PATIENCE_SECONDS
    return min(int(value) / 1000, LONGEST_PATIENCE_SECONDS)


def head_line(head: Head) -> bytes:
    """The line of JSON between the acceptance and the answer."""
    return orjson.dumps({"status": head.status, "content_type": head.content_type, "length": head.length}) + b"\n"


def read_head(line: bytes) -> Head:
    """The head in a line. Raises ValueError when it is something else, or of a kind that no executor sends.

    Its fields become those of the developer's answer, so nothing but the few known kinds may come through.
    """
    document = orjson.loads(line)
    try:
        status, content_type, length = document["status"], document["content_type"], document["length"]
    except (KeyError, TypeError):
        raise ValueError("not the head of an answer") from None
    if type(status) is not int or content_type not in {EVENT_STREAM, JSON}:
        raise ValueError(f"not the head of an answer: status {status!r}, content type {content_type!r}")
    if length is not None and (type(length) is not int or length < 0):
        raise ValueError(f"not the head of an answer: length {length!r}")
    return Head(status, content_type, length)
