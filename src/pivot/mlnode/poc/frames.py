"""How the ML node and its worker process talk: frames over pipes, a 4-byte big-endian length before each.

The node sends JSON: first the sprint, then one job a frame, as many ahead as it likes. The worker answers the sprint
with JSON when the model stands (what it runs on and how many nonces a job should have), and each job, in order, with
its fingerprints, or with JSON that says why it was too large.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO, Literal

MAX_FRAME_BYTES = 2**20
LENGTH_BYTES = 4

Backend = Literal["auto", "numpy", "torch"]


@dataclass(frozen=True)
class Sprint:
    """Which model to build, and where."""

    preset: str
    seed: str
    """Hex."""
    backend: Backend = "auto"
    """auto: torch on the devices where there are some, else numpy."""
    devices: tuple[str, ...] = ()
    """The group's devices, as the driver names cards (`GPU-…`) or torch does (`cuda:0`). None: the CPU."""


@dataclass(frozen=True)
class Ready:
    """The model stands."""

    batch: int
    """How many nonces a job should have."""
    backend: str
    devices: tuple[str, ...]
    memory_bytes: int
    """What the weights take, on all devices of the group."""


@dataclass(frozen=True)
class Job:
    """Which fingerprints to compute together."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]
    """Nonces by host address; their fingerprints are answered in this order."""


@dataclass(frozen=True)
class TooLarge:
    """The device has no memory for a job of this size; the worker goes on with the next one.

    In place of Ready: it has none for the model.
    """

    error: str
    """A sentence."""


_TOO_LARGE = b'{"error": '
"""No fingerprints begin like this, except once in 2**80."""


def encode(message: Sprint | Ready | Job | TooLarge) -> bytes:
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
    fields = json.loads(payload)
    return Sprint(**fields | {"devices": tuple(fields["devices"])})


def decode_ready(payload: bytes) -> Ready:
    """The first frame that a worker sends. Raises ValueError when it is something else, with the reason if it tells one."""
    if (reason := decode_too_large(payload)) is not None:
        raise ValueError(reason)
    try:
        fields = json.loads(payload)
        return Ready(**fields | {"devices": tuple(fields["devices"])})
    except (TypeError, KeyError) as error:
        raise ValueError("the worker process did not say that it is ready") from error


def decode_job(payload: bytes) -> Job:
    """Any later frame from the node."""
    parts: Sequence[tuple[str, Sequence[int]]] = json.loads(payload)["parts"]
    return Job(tuple((host_address, tuple(nonces)) for host_address, nonces in parts))


def decode_too_large(payload: bytes) -> str | None:
    """Why a job was too large; None when the answer is its fingerprints."""
    return str(json.loads(payload)["error"]) if payload.startswith(_TOO_LARGE) else None


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame from a blocking pipe; None when the other side has closed it."""
    header = pipe.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    length = frame_length(header)
    payload = pipe.read(length)
    return payload if len(payload) == length else None
