"""How the ML node and its worker process talk: frames over pipes, a 4-byte big-endian length before each.

The node sends JSON (first the sprint, then one job a frame); the worker answers the sprint with an empty frame
when the model stands, and each job, in order, with its fingerprints.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

MAX_FRAME_BYTES = 2**20
LENGTH_BYTES = 4


@dataclass(frozen=True)
class Sprint:
    """Which model to build. seed: hex."""

    preset: str
    seed: str


@dataclass(frozen=True)
class Job:
    """Which fingerprints to compute."""

    host_address: str
    nonces: tuple[int, ...]


def encode(message: Sprint | Job) -> bytes:
    """A message as one frame."""
    return frame(json.dumps(asdict(message)).encode())


def frame(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return struct.pack(">I", len(payload)) + payload


def frame_length(header: bytes) -> int:
    """The length that a header tells. Raises ValueError when it is over MAX_FRAME_BYTES."""
    length = int(struct.unpack(">I", header)[0])
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
    return length


def decode_sprint(payload: bytes) -> Sprint:
    """The first frame of a worker's life."""
    return Sprint(**json.loads(payload))


def decode_job(payload: bytes) -> Job:
    """Any later frame."""
    fields = json.loads(payload)
    nonces: Sequence[int] = fields["nonces"]
    return Job(fields["host_address"], tuple(nonces))


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame from a blocking pipe; None when the other side has closed it."""
    header = pipe.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    length = frame_length(header)
    payload = pipe.read(length)
    return payload if len(payload) == length else None
