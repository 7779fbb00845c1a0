"""What a checker asks of an executor, and what the executor answers: `GET /v1/artifacts/{inference_id}`.

Headers: the checker's address, a time stamp in nanoseconds, and in `Authorization` the base64 signature over
`protocol/signing.py: artifact_sign_bytes`. The answer is the artifact's document, compressed with zstd.
"""

import io

import zstandard

from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitValidations
from pivot.protocol.messages import type_url
from pivot.protocol.signing import artifact_sign_bytes

ARTIFACT_PATH = "/v1/artifacts/{inference_id:path}"
ADDRESS_HEADER = "X-Requester-Address"
TIMESTAMP_HEADER = "X-Timestamp"
SIGNATURE_HEADER = "Authorization"
MEDIA_TYPE = "application/zstd"
REPORT_TYPE = type_url(MsgSubmitValidations)
"""Whoever may report for a checker may ask for artifacts in its name."""
LARGEST_WINDOW = 2**27


def signed_headers(key: PrivateKey, chain_id: str, host: str, inference_id: str, timestamp_ns: int) -> dict[str, str]:
    """Headers by which a host knows that a drawn checker asks."""
    return {
        ADDRESS_HEADER: key.address,
        TIMESTAMP_HEADER: str(timestamp_ns),
        SIGNATURE_HEADER: key.sign_base64(artifact_sign_bytes(chain_id, host, inference_id, timestamp_ns)),
    }


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
