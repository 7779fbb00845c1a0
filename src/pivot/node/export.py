"""The state of a chain after its last block as a genesis document, from which a chain goes on at the next height."""

from datetime import UTC, datetime
from typing import Any

from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.genesis import export_genesis
from pivot.chain.modules.params import state as params
from pivot.chain.store.interface import Snapshot
from pivot.node.engine_home import genesis_document
from pivot.protocol.transactions import NANOSECONDS

WHOLE_SECOND = "%Y-%m-%dT%H:%M:%S"


def exported(snapshot: Snapshot, chain_id: str = "") -> dict[str, Any]:
    """The document; its chain has another name if one is given. Its validators are the application's to tell."""
    name = chain_id or params.chain_id(snapshot)
    document = genesis_document(name, _written(params.block_time(snapshot)), {}, export_genesis(snapshot))
    document["initial_height"] = str(snapshot.height + 1)
    document["consensus_params"] |= _consensus_params(params.consensus_params(snapshot))
    return document


def _written(time_ns: int) -> str:
    """RFC 3339 with all nanoseconds."""
    whole = datetime.fromtimestamp(time_ns // NANOSECONDS, UTC).strftime(WHOLE_SECOND)
    return f"{whole}.{time_ns % NANOSECONDS:09}Z"


def _consensus_params(told: ConsensusParams) -> dict[str, Any]:
    """The engine's parameters as its genesis file has them."""
    return {
        "block": {"max_bytes": str(told.block.max_bytes), "max_gas": str(told.block.max_gas)},
        "evidence": {
            "max_age_num_blocks": str(told.evidence.max_age_num_blocks),
            "max_age_duration": str(
                told.evidence.max_age_duration.seconds * NANOSECONDS + told.evidence.max_age_duration.nanos
            ),
            "max_bytes": str(told.evidence.max_bytes),
        },
    }
