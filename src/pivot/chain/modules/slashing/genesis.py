"""The section `slashing` of a genesis, in the Cosmos SDK's shape, with one list more: who is jailed.

Here a sentence is the participant's, not its key's. The index of a missed block is its height.
"""

from itertools import groupby
from typing import Any

from cosmos.slashing.v1beta1.slashing_pb2 import Params
from google.protobuf.duration_pb2 import Duration

from pivot.chain.modules.slashing.messages import check_params
from pivot.chain.modules.slashing.state import (
    Sentence,
    Signing,
    all_missed,
    decimal,
    params,
    put_missed,
    put_params,
    put_revision,
    put_sentence,
    put_signing,
    revision,
    sentences,
    watched,
)
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import consensus_text, of_consensus_text, require
from pivot.protocol.decimals import parse, sdk_text

_FRACTIONS = ("min_signed_per_window", "slash_fraction_double_sign", "slash_fraction_downtime")


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the section. Raises NetworkError for parameters that cannot be, InvalidAddress, InvalidDecimal."""
    if "params" in document:
        put_params(block.state, _params(document["params"]))
    missed = {entry["address"]: entry["missed_blocks"] for entry in document.get("missed_blocks", [])}
    for entry in document.get("signing_infos", []):
        address20 = of_consensus_text(entry["address"])
        rows = missed.pop(entry["address"], [])
        for row in rows:
            put_missed(block.state, address20, int(row["index"]))
        since = int(entry["validator_signing_info"]["start_height"])
        put_signing(block.state, address20, Signing(since, len(rows)))
    if missed:
        raise ValueError(f"the genesis has missed blocks without a signing info: {', '.join(sorted(missed))}")
    for entry in document.get("jailed", []):
        found = Sentence(int(entry["until"]), bool(entry["tombstoned"]))
        put_sentence(block.state, require(entry["participant"]), found)
    if "revision" in document:
        put_revision(block.state, int(document["revision"]))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    found = params(state)
    return {
        "params": {
            "signed_blocks_window": str(found.signed_blocks_window),
            "downtime_jail_duration": found.downtime_jail_duration.ToJsonString(),
            **{name: sdk_text(int(getattr(found, name))) for name in _FRACTIONS},
        },
        "signing_infos": [
            {
                "address": consensus_text(address20),
                "validator_signing_info": {
                    "address": consensus_text(address20),
                    "start_height": str(row.since),
                    "missed_blocks_counter": str(row.missed),
                },
            }
            for address20, row in watched(state)
        ],
        "missed_blocks": [
            {
                "address": consensus_text(address20),
                "missed_blocks": [{"index": str(height), "missed": True} for _, height in rows],
            }
            for address20, rows in groupby(all_missed(state), key=lambda row: row[0])
        ],
        "jailed": [
            {"participant": address, "until": str(row.until), "tombstoned": row.for_ever}
            for address, row in sentences(state)
        ],
        "revision": str(revision(state)),
    }


def _params(document: dict[str, Any]) -> Params:
    jail = Duration()
    jail.FromJsonString(document["downtime_jail_duration"])
    found = Params(
        signed_blocks_window=int(document["signed_blocks_window"]),
        downtime_jail_duration=jail,
        **{name: decimal(parse(document[name])) for name in _FRACTIONS},
    )
    check_params(found)
    return found
