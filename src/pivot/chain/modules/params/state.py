"""Rows of the store `params`.

params         Params of the network
genesis_only   GenesisOnlyParams: what no vote changes
consensus      ConsensusParams of the engine
chain_id       text
genesis_hash   32 bytes: SHA-256 of the genesis state as canonical JSON
block_time     8 bytes, big-endian: time of the last block, Unix nanoseconds
"""

from functools import lru_cache

from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.store.interface import Snapshot
from pivot.chain.store.journal import State
from pivot.chain.types import Reader, View
from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.inference.params_pb2 import FeeParams, GenesisOnlyParams, Params

STORE = "params"
NETWORK_KEY = b"params"
GENESIS_ONLY_KEY = b"genesis_only"
CONSENSUS_KEY = b"consensus"
CHAIN_ID_KEY = b"chain_id"
GENESIS_HASH_KEY = b"genesis_hash"
BLOCK_TIME_KEY = b"block_time"
TIME_BYTES = 8
CACHED_ROWS = 8


def params(state: Reader) -> Params:
    """The parameters that hold now. An epoch works on its own copy, taken when its record was made."""
    return Params.FromString(state.get(STORE, NETWORK_KEY) or b"")


def set_params(state: State, changed: Params) -> None:
    """Replace the parameters. Whoever calls this has checked them (`protocol/parameters.py`)."""
    state.set(STORE, NETWORK_KEY, changed.SerializeToString(deterministic=True))


def genesis_only_params(state: Reader) -> GenesisOnlyParams:
    """What the genesis has set for good."""
    return GenesisOnlyParams.FromString(state.get(STORE, GENESIS_ONLY_KEY) or b"")


def put_genesis_only_params(state: State, record: GenesisOnlyParams) -> None:
    """Write down, once, what no vote changes; no row if it is nothing. Whoever calls this has checked it (`protocol/parameters.py`)."""
    if row := record.SerializeToString(deterministic=True):
        state.set(STORE, GENESIS_ONLY_KEY, row)


def consensus_params(state: Reader) -> ConsensusParams:
    """The engine's parameters: limits of a block and of evidence."""
    return ConsensusParams.FromString(state.get(STORE, CONSENSUS_KEY) or b"")


def set_consensus_params(state: State, changed: ConsensusParams) -> None:
    """Replace the engine's parameters."""
    state.set(STORE, CONSENSUS_KEY, changed.SerializeToString(deterministic=True))


def fee_params(state: Reader) -> FeeParams:
    """What a transaction costs. The message is shared by all who ask: nobody may change it."""
    return _fee_params(state.get(STORE, NETWORK_KEY) or b"")


@lru_cache(maxsize=CACHED_ROWS)
def _fee_params(row: bytes) -> FeeParams:
    """Parsed once, as every transaction asks for it."""
    return Params.FromString(row).fee_params


def fee_of(state: Reader, gas: int) -> int:
    """The least fee of a transaction that takes this much gas, in ngonka, rounded up."""
    return price_of(fee_params(state).minimum_gas_price_e18, gas)


def price_of(per_gas_e18: str, gas: int) -> int:
    """ngonka for this much gas at so many 10⁻¹⁸ ngonka for a unit, rounded up."""
    return -(-gas * int(per_gas_e18 or "0") // ONE)


def chain_id(state: Reader) -> str:
    """The name of this chain; empty before the genesis is loaded."""
    return (state.get(STORE, CHAIN_ID_KEY) or b"").decode()


def genesis_hash(state: Reader) -> bytes:
    """SHA-256 (32 bytes) of the genesis state as canonical JSON; empty before the genesis is loaded."""
    return state.get(STORE, GENESIS_HASH_KEY) or b""


def name_chain(state: State, name: str, genesis: bytes) -> None:
    """Write down, once, which chain this is. `genesis` is the hash of its first state."""
    state.set(STORE, CHAIN_ID_KEY, name.encode())
    state.set(STORE, GENESIS_HASH_KEY, genesis)


def block_time(state: Reader) -> int:
    """Time of the last block, Unix nanoseconds; 0 before the genesis is loaded."""
    return int.from_bytes(state.get(STORE, BLOCK_TIME_KEY) or b"")


def note_block_time(state: State, time_ns: int) -> None:
    """Remember the time of the block under way, so that it outlives a restart."""
    state.set(STORE, BLOCK_TIME_KEY, time_ns.to_bytes(TIME_BYTES))


def view_of(snapshot: Snapshot) -> View:
    """What a query sees of committed rows."""
    return View(snapshot, chain_id(snapshot), snapshot.height, block_time(snapshot))
