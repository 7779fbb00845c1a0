"""Rows of inferences: the records, the order in which they came, and the heights at which open ones expire.

    Inference/value/<id>/                      the record
    Inference/order/<height><id>               epoch and time stamp of the request: newest first for people, oldest first to prune
    Inference/expiry/<height><id>              the inferences that a start has opened and nobody has finished yet

Heights are 8 bytes, big-endian; the id is the text that names the inference everywhere (88 characters).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

STORE = "inference"
RECORDS = b"Inference/value/"
ORDER = b"Inference/order/"
EXPIRIES = b"Inference/expiry/"
ID_LENGTH = 88
"""Characters of an id: base64 of a signature's 64 bytes."""
_HEIGHT_BYTES = 8
_AGE = struct.Struct(">Qq")  # epoch, time stamp of the request in nanoseconds
_MARK = b"\x01"


class Age(NamedTuple):
    """What decides when a record may be deleted."""

    epoch: int
    request_timestamp: int
    """Unix, nanoseconds."""


def inference(reader: Reader, inference_id: str) -> Inference | None:
    """The record of an inference, if there is one."""
    if len(inference_id) != ID_LENGTH or not inference_id.isascii():
        return None
    row = reader.get(STORE, _record_key(inference_id))
    return None if row is None else Inference.FromString(row)


def insert(state: State, record: Inference) -> None:
    """Write a record that is new; an open one will expire at its height."""
    put(state, record)
    age = _AGE.pack(record.epoch_id, record.request_timestamp)
    state.set(STORE, ORDER + _placed(record.start_block_height, record.inference_id), age)
    if record.expires_at_height:
        state.set(STORE, _expiry_key(record), _MARK)


def put(state: State, record: Inference) -> None:
    """Write a record again."""
    state.set(STORE, _record_key(record.inference_id), record.SerializeToString(deterministic=True))


def close(state: State, record: Inference) -> None:
    """Write the last word on an inference: it is finished or expired, and will not expire again."""
    put(state, record)
    if record.expires_at_height:
        state.delete(STORE, _expiry_key(record))


def due(state: State, height: int) -> Iterator[Inference]:
    """Open inferences whose last height is `height` or lies before it, oldest first."""
    for key, _ in state.iterate(STORE, EXPIRIES, EXPIRIES + _height(height + 1)):
        yield _existing(state, key[len(EXPIRIES) + _HEIGHT_BYTES :].decode())


def oldest(state: State) -> Iterator[tuple[Age, Inference]]:
    """All records in the order in which they came. The record is read when the pair is asked for."""
    for key, value in state.iterate(STORE, ORDER, prefix_end(ORDER)):
        yield Age(*_AGE.unpack(value)), _existing(state, id_in_order(key[len(ORDER) :]))


def id_in_order(key: bytes) -> str:
    """The id in a key below `ORDER`."""
    return key[_HEIGHT_BYTES:].decode()


def expiry_of(key: bytes) -> tuple[int, str]:
    """(height, id) in a key below `EXPIRIES`."""
    return int.from_bytes(key[:_HEIGHT_BYTES]), key[_HEIGHT_BYTES:].decode()


def forget(state: State, record: Inference) -> None:
    """Delete everything about a closed inference."""
    state.delete(STORE, _record_key(record.inference_id))
    state.delete(STORE, ORDER + _placed(record.start_block_height, record.inference_id))


def all_inferences(reader: Reader) -> Iterator[Inference]:
    """Every record, by id. For invariants and tests: it reads them all."""
    for _, row in reader.iterate(STORE, RECORDS, prefix_end(RECORDS)):
        yield Inference.FromString(row)


def _existing(state: State, inference_id: str) -> Inference:
    record = inference(state, inference_id)
    if record is None:
        raise LookupError(f"an index names inference {inference_id}, which has no record")
    return record


def _record_key(inference_id: str) -> bytes:
    return RECORDS + inference_id.encode() + b"/"


def _expiry_key(record: Inference) -> bytes:
    return EXPIRIES + _placed(record.expires_at_height, record.inference_id)


def _placed(height: int, inference_id: str) -> bytes:
    return _height(height) + inference_id.encode()


def _height(height: int) -> bytes:
    return height.to_bytes(_HEIGHT_BYTES, "big")
