"""What a checker asks of an executor, and what the executor answers: `GET /v1/artifacts/{inference_id}`.

Signed (`between_hosts/signatures.py`) over `artifact_sign_bytes`. The answer is the artifact's document, compressed with zstd.
"""

import io

import zstandard

from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitValidations
from pivot.protocol.messages import type_url

ARTIFACTS_PATH = "/v1/artifacts/"
ARTIFACT_PATH = ARTIFACTS_PATH + "{inference_id:path}"
MEDIA_TYPE = "application/zstd"
REPORT_TYPE = type_url(MsgSubmitValidations)
"""Whoever may report for a checker may ask for artifacts in its name."""
LARGEST_WINDOW = 2**27


def expanded(compressed: bytes, limit: int) -> bytes:
    """The document of what another host sent. Raises ValueError for one that is longer than `limit` bytes, or is no zstd."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).stream_reader(io.BytesIO(compressed)) as reader:
            raw = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(raw) > limit:
        raise ValueError(f"more than {limit} bytes")
    return raw
