"""All hosts' parts put into the document: participants, validators, accounts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from pivot.node.ceremony.errors import CeremonyError
from pivot.node.ceremony.gentx import Gentx
from pivot.node.engine_home import public_document
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus

PATTERN = "gentx-*.json"
DEFAULT_WEIGHT = 1


def read_gentxs(folder: Path) -> list[Gentx]:
    """The parts of all hosts, by address. Raises CeremonyError: none, or one that is damaged or forged."""
    found = [Gentx.read(file) for file in sorted(folder.glob(PATTERN))]
    if not found:
        raise CeremonyError(f"there is no {PATTERN} in {folder}")
    return sorted(found, key=lambda gentx: gentx.address)


def collect(document: dict[str, Any], gentxs: Sequence[Gentx], weight: int = DEFAULT_WEIGHT) -> None:
    """Make the hosts the participants of the genesis, each with the same weight; those of an earlier collection go.

    The order of the files does not matter. Raises CeremonyError.
    """
    for gentx in gentxs:
        if gentx.chain_id != document["chain_id"]:
            raise CeremonyError(
                f"{gentx.address} has signed for the chain {gentx.chain_id!r}, not {document['chain_id']!r}"
            )
    for name in ("address", "consensus_key", "url"):
        _require_different(gentxs, name)
    in_order = sorted(gentxs, key=lambda gentx: gentx.address)
    document["app_state"]["inference"]["participants"] = [_participant(gentx, weight) for gentx in in_order]
    document["validators"] = [
        {
            "address": consensus_address(gentx.validator_key).hex().upper(),
            "pub_key": public_document(gentx.validator_key),
            "power": str(weight),
            "name": "",
        }
        for gentx in in_order
    ]


def _require_different(gentxs: Sequence[Gentx], name: str) -> None:
    seen: dict[str, str] = {}
    for gentx in gentxs:
        value = getattr(gentx, name)
        if value in seen:
            raise CeremonyError(f"{seen[value]} and {gentx.address} have the same {name}, {value}")
        seen[value] = gentx.address


def _participant(gentx: Gentx, weight: int) -> dict[str, Any]:
    record = Participant(
        index=gentx.address,
        address=gentx.address,
        inference_url=gentx.url,
        status=ParticipantStatus.ACTIVE,
        validator_key=gentx.consensus_key,
        account_public_key=gentx.account_key,
    )
    entry = GenesisParticipant(participant=record, weight=weight)
    document: dict[str, Any] = json_format.MessageToDict(entry, preserving_proto_field_name=True)
    return document
