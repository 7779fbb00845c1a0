"""Rows of collateral in the store `inference`. The coins themselves lie in the module's account.

Collateral/value/<address>/                              ngonka that stand behind a weight (8 bytes, big-endian)
UnbondingCollateral/value/<address>/<epoch, 8 bytes>/    ngonka that are released in this epoch, from its sprint on (8 bytes)
CollateralRelease/value/<epoch, 8 bytes>/<address>/      the same, in the order in which it falls due
"""

from collections.abc import Iterator

from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader

STORE = "inference"
COLLATERALS = b"Collateral/value/"
UNBONDINGS = b"UnbondingCollateral/value/"
RELEASES = b"CollateralRelease/value/"
_NUMBER_BYTES = 8
_MARK = b"\x01"


def collateral(reader: Reader, address: str) -> int:
    """ngonka that stand behind an address's weight; what is being withdrawn does not."""
    return int.from_bytes(reader.get(STORE, _key(COLLATERALS, address)) or b"")


def collaterals(reader: Reader) -> Iterator[tuple[str, int]]:
    """All collateral above 0, by address."""
    for key, row in reader.iterate(STORE, COLLATERALS, prefix_end(COLLATERALS)):
        yield key[len(COLLATERALS) : -1].decode(), int.from_bytes(row)


def put_collateral(state: State, address: str, amount: int) -> None:
    """Write what stands behind an address's weight."""
    _put(state, _key(COLLATERALS, address), amount)


def unbonding(reader: Reader, address: str, epoch: int) -> int:
    """ngonka of an address that are released in `epoch`."""
    return int.from_bytes(reader.get(STORE, _unbonding_key(address, epoch)) or b"")


def unbondings(reader: Reader, address: str) -> Iterator[tuple[int, int]]:
    """(epoch, ngonka) of all that an address is withdrawing, by epoch."""
    prefix = _key(UNBONDINGS, address)
    for key, row in reader.iterate(STORE, prefix, prefix_end(prefix)):
        yield split_unbonding_key(key[len(UNBONDINGS) :])[1], int.from_bytes(row)


def all_unbondings(reader: Reader) -> Iterator[tuple[str, int, int]]:
    """(address, epoch, ngonka) of all that is being withdrawn, by address and epoch."""
    for key, row in reader.iterate(STORE, UNBONDINGS, prefix_end(UNBONDINGS)):
        yield *split_unbonding_key(key[len(UNBONDINGS) :]), int.from_bytes(row)


def put_unbonding(state: State, address: str, epoch: int, amount: int) -> None:
    """Write what of an address is released in `epoch`; a row of 0 is deleted."""
    _put(state, _unbonding_key(address, epoch), amount)
    if amount:
        state.set(STORE, epoch_key(RELEASES, epoch, address), _MARK)
    else:
        state.delete(STORE, epoch_key(RELEASES, epoch, address))


def due(reader: Reader, epoch: int) -> Iterator[tuple[str, int]]:
    """(address, epoch) of all releases up to those in `epoch`, oldest first."""
    for key, _ in reader.iterate(STORE, RELEASES, epoch_key(RELEASES, epoch + 1)[:-1]):
        place = len(RELEASES)
        yield key[place + _NUMBER_BYTES + 1 : -1].decode(), int.from_bytes(key[place : place + _NUMBER_BYTES])


def split_unbonding_key(key: bytes) -> tuple[str, int]:
    """(address, epoch) of an unbonding row's key without its prefix."""
    return key[: -_NUMBER_BYTES - 2].decode(), int.from_bytes(key[-_NUMBER_BYTES - 1 : -1])


def _put(state: State, key: bytes, amount: int) -> None:
    if amount:
        state.set(STORE, key, amount.to_bytes(_NUMBER_BYTES))
    else:
        state.delete(STORE, key)


def _unbonding_key(address: str, epoch: int) -> bytes:
    return _key(UNBONDINGS, address) + epoch.to_bytes(_NUMBER_BYTES) + b"/"


def _key(prefix: bytes, address: str) -> bytes:
    return prefix + address.encode() + b"/"
