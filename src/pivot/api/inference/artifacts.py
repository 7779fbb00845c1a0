"""Artifacts: what this host must show when one of its answers is checked, kept at least until the epoch after the next one."""

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

import orjson
import zstandard
from sqlalchemy import Table, delete, select

from pivot.api.database import Database
from pivot.api.group_writer import GroupWriter
from pivot.api.inference.tables import Artifact
from pivot.api.inference.transcript import Transcript
from pivot.primitives.hashes import sha256

VERSION = 1
COMPRESSION_LEVEL = 3
MAX_DOCUMENT_BYTES = 256 * 2**20


def document(transcript: Transcript, max_tokens: int, seed: int) -> bytes:
    """The artifact of an answer as canonical JSON: keys sorted, no spaces. Its SHA-256 is in the signed finish."""
    request = transcript.request
    contents: dict[str, Any] = {
        "version": VERSION,
        "inference_id": transcript.inference_id,
        "request": request.body.decode(),
        "model": request.model,
        "max_tokens": max_tokens,
        "seed": seed,
        "sampling": {name: request.document[name] for name in SAMPLING if request.document.get(name) is not None},
        "prompt_token_ids": transcript.prompt_token_ids,
        "token_ids": transcript.token_ids.tolist(),
        "logprobs": orjson.Fragment(transcript.positions.json()),
        "content": transcript.content,
        "finish_reason": transcript.finish_reason,
        "prompt_token_count": transcript.prompt_token_count,
        "completion_token_count": transcript.completion_token_count,
    }
    return orjson.dumps(contents, option=orjson.OPT_SORT_KEYS)


SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "stop",
    "min_tokens",
    "ignore_eos",
)


@dataclass(frozen=True)
class Packed:
    """An artifact as it is kept."""

    hash: str
    """Lower-case hex of SHA-256 of the document."""
    compressed: bytes


def packed(contents: bytes) -> Packed:
    """About 30 µs for a short answer. Several threads may call it."""
    return Packed(sha256(contents).hex(), _this_threads.compressor.compress(contents))


class _PerThread(threading.local):
    """A compressor is for one thread at a time, and making one takes as long as a short artifact does."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)


_this_threads = _PerThread()


def keep(writer: GroupWriter, inference_id: str, epoch: int, artifact: Packed) -> asyncio.Future[None]:
    """Write an artifact to disk. The future is done when it is there, and raises what the database raised."""
    row = {
        "inference_id": inference_id,
        "epoch": epoch,
        "hash": artifact.hash,
        "compressed": artifact.compressed,
        "size": len(artifact.compressed),
        "kept_ns": time.time_ns(),
    }
    return writer.add(cast(Table, Artifact.__table__), row, hurried=False)


async def keep_anothers(
    database: Database, inference_id: str, epoch: int, artifact_hash: str, compressed: bytes
) -> None:
    """Keep the artifact of an answer that another host gave, as it sent it: voters in a dispute ask its accuser, too."""
    async with database.session() as session:
        if await session.get(Artifact, inference_id) is None:
            session.add(Artifact(inference_id=inference_id, epoch=epoch, hash=artifact_hash, compressed=compressed))


async def compressed_of(database: Database, inference_id: str) -> bytes | None:
    """An artifact that is still kept, as it is kept: zstd."""
    async with database.session() as session:
        return await session.scalar(select(Artifact.compressed).where(Artifact.inference_id == inference_id))


async def find(database: Database, inference_id: str) -> bytes | None:
    """The document of an artifact that is still kept."""
    compressed = await compressed_of(database, inference_id)
    if compressed is None:
        return None
    return zstandard.ZstdDecompressor().decompress(compressed, max_output_size=MAX_DOCUMENT_BYTES)


async def forget_before(database: Database, epoch: int) -> None:
    """Drop the artifacts of epochs before `epoch`."""
    async with database.session() as session:
        await session.execute(delete(Artifact).where(Artifact.epoch < epoch))
