"""A genesis document from outside: what it is, whether it is the one that was asked for, and whether our application takes it."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from tendermint.abci.types_pb2 import RequestInitChain
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.application import Application
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES
from pivot.node.errors import SeedRefused
from pivot.primitives.canonical_json import dumps
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams
from pivot.protocol.parameters import PRESETS, preset_params, timeout_commit

NANOSECONDS_PER_SECOND = 10**9
SLOWEST_PRESET = "mainnet"


def genesis_text(document: dict[str, Any]) -> bytes:
    """The document as canonical JSON, which is what a node that joins has as its `genesis.json`."""
    return dumps(document)


def genesis_sha256(document: dict[str, Any]) -> str:
    """SHA-256 (hex) of the document as canonical JSON: the same whichever node it was fetched from."""
    return sha256(genesis_text(document)).hex()


def check_genesis(document: dict[str, Any], chain_id: str, expected_sha256: str | None, name: str) -> None:
    """Refuse a document of another chain, with another hash, or that our application does not take; it changes nothing.

    `name`: the setting that says where the document comes from. Raises SeedRefused.
    """
    found = genesis_sha256(document)
    if expected_sha256 is not None and found != expected_sha256:
        raise SeedRefused(f"GENESIS_SHA256: the genesis document has SHA-256 {found}, not {expected_sha256}")
    if document.get("chain_id") != chain_id:
        raise SeedRefused(
            f"{name}: the genesis document is of chain {document.get('chain_id')!r}, but the node is on {chain_id!r}"
        )
    try:
        Application(MemoryDatabase(STORES)).init_chain(_first_request(document))
    except Exception as error:
        told = str(error) or type(error).__name__
        raise SeedRefused(
            f"{name}: the application does not take the genesis document of {chain_id}: {told}"
        ) from error


def block_pause(document: dict[str, Any]) -> str:
    """The engine's pause between blocks (`200ms`) in a network that began with this document.

    All of a network's engines should pause alike, and no RPC tells it: it is that of the preset with the same epochs.
    """
    state = document["app_state"]
    section = state.get("inference") or state["params"]  # of a ceremony, or of an export
    told = json_format.ParseDict(section["params"].get("epoch_params", {}), EpochParams())
    for preset in PRESETS:
        if preset_params(preset).epoch_params == told:
            return timeout_commit(preset)
    return timeout_commit(SLOWEST_PRESET)


def _first_request(document: dict[str, Any]) -> RequestInitChain:
    """What the engine sends our application for this document."""
    time = Timestamp()
    time.FromJsonString(document["genesis_time"])
    params = dict(document["consensus_params"])
    age = int(params["evidence"]["max_age_duration"])
    whole, fraction = divmod(age, NANOSECONDS_PER_SECOND)
    params["evidence"] = {**params["evidence"], "max_age_duration": f"{whole}.{fraction:09}s"}
    return RequestInitChain(
        time=time,
        chain_id=document["chain_id"],
        consensus_params=json_format.ParseDict(params, ConsensusParams(), ignore_unknown_fields=True),
        app_state_bytes=dumps(document["app_state"]),
        initial_height=int(document["initial_height"]),
    )
