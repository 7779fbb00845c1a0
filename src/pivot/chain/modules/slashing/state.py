"""Rows of the store `slashing`. A block in which everybody signs changes none of them.

Params                               cosmos.slashing.v1beta1.Params; absent: the published ones
Signing/<20 bytes>                   a consensus address in the engine's set: since which height, how many rows it has missed (8 bytes each)
Missed/<20 bytes><height, 8 bytes>   a block in whose last commit its signature was missing
Sentence/<address>                   a jailed participant: until when (8 bytes, Unix nanoseconds), 1 if for ever
Revision                             8 bytes: how many times somebody was jailed or set free
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from cosmos.slashing.v1beta1.slashing_pb2 import Params

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import CONSENSUS_ADDRESS_LENGTH
from pivot.primitives.fixed_point import ONE
from pivot.protocol.transactions import NANOSECONDS

STORE = "slashing"
SIGNING = b"Signing/"
MISSED = b"Missed/"
SENTENCES = b"Sentence/"
_PARAMS = b"Params"
_REVISION = b"Revision"
_MARK = b"\x01"
_NUMBER_BYTES = 8
_SIGNING_ROW = struct.Struct(">QQ")
_SENTENCE_ROW = struct.Struct(">Q?")


class Signing(NamedTuple):
    """How a key in the engine's set has signed."""

    since: int
    """Height of the block in which the engine was told of it."""
    missed: int = 0
    """Rows under `Missed`; some may be older than the window."""


class Sentence(NamedTuple):
    """Why somebody holds no power."""

    until: int
    """Unix nanoseconds from which on MsgUnjail is taken."""
    for_ever: bool = False
    """Tombstoned: it has signed twice."""


class Rules(NamedTuple):
    """The parameters in whole numbers; fractions have 18 decimals."""

    window: int
    """Blocks."""
    most_missed: int
    """Of a window; whoever misses more is jailed."""
    jail_ns: int
    double_sign_fraction: int
    downtime_fraction: int


def published_params() -> Params:
    """The published network's parameters."""
    found = Params(
        signed_blocks_window=100,
        min_signed_per_window=decimal(ONE // 2),
        slash_fraction_double_sign=decimal(ONE // 20),
        slash_fraction_downtime=decimal(ONE // 100),
    )
    found.downtime_jail_duration.seconds = 600
    return found


def params(reader: Reader) -> Params:
    """The parameters that hold now."""
    row = reader.get(STORE, _PARAMS)
    return published_params() if row is None else Params.FromString(row)


def put_params(state: State, changed: Params) -> None:
    """Replace the parameters. Whoever calls this has checked them."""
    state.set(STORE, _PARAMS, changed.SerializeToString(deterministic=True))


def rules(reader: Reader) -> Rules:
    """The parameters that hold now, in whole numbers."""
    return _rules(reader.get(STORE, _PARAMS) or published_params().SerializeToString(deterministic=True))


def decimal(number: int) -> bytes:
    """A fixed-point number as the Cosmos SDK puts it into bytes: its 18 decimals without a point, in text."""
    return str(number).encode()


def signing(reader: Reader, address20: bytes) -> Signing | None:
    """How the key with this consensus address (20 bytes) has signed; None if it is not in the engine's set."""
    row = reader.get(STORE, SIGNING + address20)
    return None if row is None else decode_signing(row)


def decode_signing(row: bytes) -> Signing:
    """How a key has signed, of its row."""
    return Signing(*_SIGNING_ROW.unpack(row))


def put_signing(state: State, address20: bytes, found: Signing) -> None:
    """Write how a key has signed."""
    state.set(STORE, SIGNING + address20, _SIGNING_ROW.pack(*found))


def begin_watch(state: State, address20: bytes, height: int) -> None:
    """A key has come into the engine's set, in the block of this height."""
    put_signing(state, address20, Signing(height))


def end_watch(state: State, address20: bytes) -> None:
    """A key has left the engine's set: nothing is remembered of what it missed."""
    forget_missed(state, address20)
    state.delete(STORE, SIGNING + address20)


def missed(reader: Reader, address20: bytes, since: int = 0) -> Iterator[int]:
    """Heights from `since` on at which a key's signature was missing, in order."""
    prefix = MISSED + address20
    for key, _ in reader.iterate(STORE, prefix + since.to_bytes(_NUMBER_BYTES), prefix_end(prefix)):
        yield int.from_bytes(key[len(prefix) :])


def put_missed(state: State, address20: bytes, height: int) -> None:
    """Write down that a key's signature is missing in the last commit of this block."""
    state.set(STORE, MISSED + address20 + height.to_bytes(_NUMBER_BYTES), _MARK)


def forget_missed(state: State, address20: bytes, before: int | None = None) -> int:
    """Delete what a key has missed before a height (None: all). Returns how many rows that were."""
    prefix = MISSED + address20
    end = prefix_end(prefix) if before is None else prefix + max(before, 0).to_bytes(_NUMBER_BYTES)
    rows = [key for key, _ in state.iterate(STORE, prefix, end)]
    for key in rows:
        state.delete(STORE, key)
    return len(rows)


def sentence(reader: Reader, address: str) -> Sentence | None:
    """Until when a participant is jailed; None if it is not."""
    row = reader.get(STORE, SENTENCES + address.encode())
    return None if row is None else Sentence(*_SENTENCE_ROW.unpack(row))


def is_jailed(reader: Reader, address: str) -> bool:
    """Whether a participant holds no power for what it has done."""
    return reader.get(STORE, SENTENCES + address.encode()) is not None


def put_sentence(state: State, address: str, found: Sentence | None) -> None:
    """Jail a participant, or set it free (None). Validators follow the revision."""
    if found is None:
        state.delete(STORE, SENTENCES + address.encode())
    else:
        state.set(STORE, SENTENCES + address.encode(), _SENTENCE_ROW.pack(*found))
    put_revision(state, revision(state) + 1)


def sentences(reader: Reader) -> Iterator[tuple[str, Sentence]]:
    """All that are jailed, by address."""
    for key, row in reader.iterate(STORE, SENTENCES, prefix_end(SENTENCES)):
        yield key[len(SENTENCES) :].decode(), Sentence(*_SENTENCE_ROW.unpack(row))


def watched(reader: Reader) -> Iterator[tuple[bytes, Signing]]:
    """Consensus addresses in the engine's set, and how they have signed, in order."""
    for key, row in reader.iterate(STORE, SIGNING, prefix_end(SIGNING)):
        yield key[len(SIGNING) :], decode_signing(row)


def all_missed(reader: Reader) -> Iterator[tuple[bytes, int]]:
    """(consensus address, height) of every row of what was missed, in order."""
    for key, _ in reader.iterate(STORE, MISSED, prefix_end(MISSED)):
        place = len(MISSED)
        yield key[place : place + CONSENSUS_ADDRESS_LENGTH], int.from_bytes(key[place + CONSENSUS_ADDRESS_LENGTH :])


def revision(reader: Reader) -> int:
    """How many times somebody was jailed or set free so far."""
    return int.from_bytes(reader.get(STORE, _REVISION) or b"")


def put_revision(state: State, number: int) -> None:
    """Write how many times somebody was jailed or set free so far."""
    state.set(STORE, _REVISION, number.to_bytes(_NUMBER_BYTES))


@lru_cache(maxsize=4)
def _rules(row: bytes) -> Rules:
    found = Params.FromString(row)
    window, share = found.signed_blocks_window, int(found.min_signed_per_window)
    return Rules(
        window=window,
        most_missed=window - (window * share * 2 + ONE) // (2 * ONE),
        jail_ns=found.downtime_jail_duration.seconds * NANOSECONDS,
        double_sign_fraction=int(found.slash_fraction_double_sign),
        downtime_fraction=int(found.slash_fraction_downtime),
    )
