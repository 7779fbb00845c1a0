"""A block's header as the engine writes it in JSON, and the block's hash, which follows from the header."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from tendermint.types.types_pb2 import BlockID, PartSetHeader
from tendermint.version.types_pb2 import Consensus

from pivot.api.ledger.interface import Head

NANOSECONDS = 10**9
_LEAF = b"\0"
_INNER = b"\1"


def head_of(header: Mapping[str, Any]) -> Head:
    """Height, time and hash of the block with this header. Raises ValueError or KeyError when it is none."""
    return Head(height=int(header["height"]), time_ns=time_ns(header["time"]), hash=header_hash(header))


def time_ns(text: str) -> int:
    """Unix nanoseconds of RFC 3339 in UTC with up to nine decimals, which the standard library would cut to six."""
    whole, _, decimals = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * NANOSECONDS + int(decimals.ljust(9, "0"))


def header_hash(header: Mapping[str, Any]) -> bytes:
    """The block's hash: Merkle root (RFC 6962) over the header's 14 fields, each in protobuf."""
    version, last = header["version"], header["last_block_id"]
    parts = last.get("parts", {})
    nanoseconds = time_ns(header["time"])
    fields = [
        _bytes(Consensus(block=int(version.get("block", 0)), app=int(version.get("app", 0)))),
        _bytes(StringValue(value=header["chain_id"])),
        _bytes(Int64Value(value=int(header["height"]))),
        _bytes(Timestamp(seconds=nanoseconds // NANOSECONDS, nanos=nanoseconds % NANOSECONDS)),
        _bytes(
            BlockID(
                hash=bytes.fromhex(last["hash"]),
                part_set_header=PartSetHeader(
                    total=int(parts.get("total", 0)), hash=bytes.fromhex(parts.get("hash", ""))
                ),
            )
        ),
        *(
            _bytes(BytesValue(value=bytes.fromhex(header[name])))
            for name in (
                "last_commit_hash",
                "data_hash",
                "validators_hash",
                "next_validators_hash",
                "consensus_hash",
                "app_hash",
                "last_results_hash",
                "evidence_hash",
                "proposer_address",
            )
        ),
    ]
    return _merkle_root(fields)


def _bytes(message: Message) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _merkle_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(_LEAF + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(_INNER + _merkle_root(leaves[:split]) + _merkle_root(leaves[split:])).digest()


def decode_base64(text: str | None) -> bytes:
    """Bytes of a base64 field that the engine leaves out or sets to null when it is empty."""
    return base64.b64decode(text or "")
