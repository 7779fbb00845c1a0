"""Governance in a genesis, in the published shape (`cosmos.gov.v1.GenesisState`), and what is still to be cleared."""

from typing import Any

from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1.genesis_pb2 import GenesisState
from google.protobuf import json_format

from pivot.chain.modules.bank.state import GOVERNANCE, balance
from pivot.chain.modules.gov.deposits import amount_of
from pivot.chain.modules.gov.state import (
    DEPOSIT_ENDS,
    FIRST_ID,
    VOTING_ENDS,
    Clearing,
    all_deposits,
    all_votes,
    await_end,
    clearings,
    constitution,
    next_id,
    params,
    proposals,
    put_clearing,
    put_constitution,
    put_deposit,
    put_next_id,
    put_proposal,
    put_vote,
    set_params,
)
from pivot.chain.types import Block, Reader
from pivot.protocol.governance import check_gov_params
from pivot.protocol.transactions import nanoseconds

CLEARINGS = "clearings"


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the section. Without parameters those of mainnet hold.

    Raises ValueError when the deposits are not what the module account holds, InvalidGovernance, json_format.ParseError.
    """
    fields = dict(document)
    unclear = fields.pop(CLEARINGS, [])
    genesis = json_format.ParseDict(fields, GenesisState())
    if genesis.HasField("params"):
        check_gov_params(genesis.params)
        set_params(block.state, genesis.params)
    put_constitution(block.state, genesis.constitution)
    put_next_id(block.state, max(genesis.starting_proposal_id, FIRST_ID))
    for record in genesis.proposals:
        put_proposal(block.state, record)
        if record.status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD:
            await_end(block.state, DEPOSIT_ENDS, nanoseconds(record.deposit_end_time), record.id)
        if record.status == gov.PROPOSAL_STATUS_VOTING_PERIOD:
            await_end(block.state, VOTING_ENDS, nanoseconds(record.voting_end_time), record.id)
    for deposit in genesis.deposits:
        put_deposit(block.state, deposit)
    for vote in genesis.votes:
        put_vote(block.state, vote)
    for entry in unclear:
        put_clearing(block.state, Clearing(int(entry["proposal_id"]), int(entry["kept_share"]), entry["keeper"]))
    put_down = sum(amount_of(deposit.amount) for deposit in genesis.deposits)
    if (held := balance(block.state, GOVERNANCE)) != put_down:
        raise ValueError(f"the genesis has deposits of {put_down} on proposals, but {GOVERNANCE} holds {held}")


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    genesis = GenesisState(
        starting_proposal_id=next_id(state),
        deposits=all_deposits(state),
        votes=all_votes(state),
        proposals=proposals(state),
        params=params(state),
        constitution=constitution(state),
    )
    document: dict[str, Any] = json_format.MessageToDict(genesis, preserving_proto_field_name=True)
    document[CLEARINGS] = [
        {"proposal_id": str(each.proposal_id), "kept_share": str(each.kept_share), "keeper": each.keeper}
        for each in clearings(state)
    ]
    return document
