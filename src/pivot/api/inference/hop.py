"""The hop from transfer agent to executor over HTTP (docs/protocol/requests.md).

Request: `POST /v1/chat/completions` with the developer's body, untouched, and the headers below. Answer: an error as any
other, or 200 with the executor's signed acceptance in `X-Acceptance` as soon as it has a node. The body then holds empty
lines while the node has not begun (so that a dead executor is told from a slow one), one line of JSON with the status and
kind of the answer, and the answer itself.
"""

import base64
import binascii
from collections.abc import Mapping

import orjson
from google.protobuf.message import DecodeError

from pivot.api.http.errors import BadRequest
from pivot.api.inference.parts import Head
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference

INFERENCE_ID_HEADER = "X-Inference-Id"
START_HEADER = "X-Start"
"""base64 of the serialized MsgStartInference, signed by the transfer agent."""
PATIENCE_HEADER = "X-Patience"
"""Milliseconds that the transfer agent gives the executor to find a free node."""
ACCEPTANCE_HEADER = "X-Acceptance"
ANSWER_TYPE = "application/vnd.pivot.answer"
HEARTBEAT = b"\n"
HEARTBEAT_SECONDS = 2.0
MAX_HEAD_BYTES = 1_024
LONGEST_PATIENCE_SECONDS = 30.0


def request_headers(start: MsgStartInference, patience_s: float) -> dict[str, str]:
    """Headers of a request to an executor."""
    return {
        "Content-Type": "application/json",
        INFERENCE_ID_HEADER: start.inference_id,
        START_HEADER: base64.b64encode(start.SerializeToString()).decode(),
        PATIENCE_HEADER: str(int(patience_s * 1000)),
    }


def is_executor_request(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes from a transfer agent."""
    return b"x-inference-id" in headers and b"x-start" in headers


def read_start(headers: Mapping[bytes, bytes]) -> MsgStartInference:
    """The start in a request's headers. Raises BadRequest."""
    try:
        start = MsgStartInference.FromString(base64.b64decode(headers[b"x-start"], validate=True))
    except (binascii.Error, ValueError, DecodeError):
        raise BadRequest(f"{START_HEADER} is not a MsgStartInference in base64", param=START_HEADER) from None
    if start.inference_id.encode() != headers[b"x-inference-id"]:
        raise BadRequest(f"{INFERENCE_ID_HEADER} is not the id in {START_HEADER}", param=INFERENCE_ID_HEADER)
    return start


def read_patience(headers: Mapping[bytes, bytes]) -> float:
    """Seconds to wait for a free node; the longest without the header, or with nonsense in it."""
    value = headers.get(b"x-patience", b"")
    return min(int(value) / 1000, LONGEST_PATIENCE_SECONDS) if value.isdigit() else LONGEST_PATIENCE_SECONDS


def head_line(head: Head) -> bytes:
    """The line of JSON between the acceptance and the answer."""
    return orjson.dumps({"status": head.status, "content_type": head.content_type, "length": head.length}) + b"\n"


def read_head(line: bytes) -> Head:
    """Raises ValueError when the line is something else."""
    document = orjson.loads(line)
    try:
        status, content_type, length = document["status"], document["content_type"], document["length"]
    except (KeyError, TypeError):
        raise ValueError("not the head of an answer") from None
    if type(status) is not int or not isinstance(content_type, str) or type(length) not in {int, type(None)}:
        raise ValueError("not the head of an answer")
    return Head(status, content_type, length)
