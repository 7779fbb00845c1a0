"""Rows of the restriction of transfers in the store `inference`.

RestrictionParams/value/                       Params
RestrictionLifted/value/                       there once the network has been told that the restriction is over
ExemptionUsage/value/<exemption id>/<address>/ how many times an account has used an exemption, 8 bytes
"""

from collections.abc import Iterator
from itertools import islice

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.restrictions.types_pb2 import (
    EmergencyTransferExemption,
    ExemptionUsage,
    Params,
)

STORE = "inference"
USAGES = b"ExemptionUsage/value/"
FORGOTTEN_PER_BLOCK = 500
"""Counts of uses that one block deletes once the restriction is over."""
_PARAMS = b"RestrictionParams/value/"
_LIFTED = b"RestrictionLifted/value/"
_COUNT_BYTES = 8
_MARK = b"\x01"


def restriction_params(reader: Reader) -> Params:
    """Up to which height transfers are restricted, and who is exempt."""
    return Params.FromString(reader.get(STORE, _PARAMS) or b"")


def put_restriction_params(state: State, changed: Params) -> None:
    """Replace the parameters, which have been checked. A restriction that they begin anew will be lifted anew."""
    if changed.ByteSize():
        state.set(STORE, _PARAMS, changed.SerializeToString(deterministic=True))
    else:
        state.delete(STORE, _PARAMS)
    state.delete(STORE, _LIFTED)


def is_restricted(reader: Reader, height: int) -> bool:
    """Whether transfers of users are restricted in the block of this height."""
    return height < restriction_params(reader).restriction_end_block


def exemption(reader: Reader, exemption_id: str) -> EmergencyTransferExemption | None:
    """The exemption of this name."""
    exemptions = restriction_params(reader).emergency_transfer_exemptions
    return next((each for each in exemptions if each.exemption_id == exemption_id), None)


def uses(reader: Reader, exemption_id: str, address: str) -> int:
    """How many times an account has used an exemption."""
    return int.from_bytes(reader.get(STORE, _usage_key(exemption_id, address)) or b"")


def put_uses(state: State, usage: ExemptionUsage) -> None:
    """Write how many times an account has used an exemption."""
    key = _usage_key(usage.exemption_id, usage.account_address)
    state.set(STORE, key, usage.usage_count.to_bytes(_COUNT_BYTES, "big"))


def usage_of(key: bytes, row: bytes) -> ExemptionUsage:
    """A row below `USAGES` as it is published; `key` without the prefix."""
    exemption_id, address, _ = key.decode().split("/")
    return ExemptionUsage(exemption_id=exemption_id, account_address=address, usage_count=int.from_bytes(row))


def usages(reader: Reader) -> Iterator[ExemptionUsage]:
    """All uses of exemptions, by exemption and address."""
    for key, row in reader.iterate(STORE, USAGES, prefix_end(USAGES)):
        yield usage_of(key[len(USAGES) :], row)


def is_lifted(reader: Reader) -> bool:
    """Whether the network has been told that the restriction is over."""
    return reader.get(STORE, _LIFTED) is not None


def put_lifted(state: State) -> None:
    """The network has been told that the restriction is over."""
    state.set(STORE, _LIFTED, _MARK)


def lift(block: Block) -> None:
    """Tell once, in the block of its end, that the restriction is over, and forget how often exemptions were used.

    They are forgotten some per block; a restriction that begins anew counts anew.
    """
    if is_restricted(block.state, block.height):
        return
    end = restriction_params(block.state).restriction_end_block
    if end and not is_lifted(block.state):
        put_lifted(block.state)
        block.emit("restriction_lifted", current_block=block.height, restriction_end_block=end)
    for key, _ in islice(block.state.iterate(STORE, USAGES, prefix_end(USAGES)), FORGOTTEN_PER_BLOCK):
        block.state.delete(STORE, key)


def _usage_key(exemption_id: str, address: str) -> bytes:
    return USAGES + f"{exemption_id}/{address}/".encode()
