"""What holds after every block."""

from cosmos.gov.v1 import gov_pb2 as gov

from pivot.chain.modules.bank.state import GOVERNANCE, balance
from pivot.chain.modules.gov.deposits import amount_of
from pivot.chain.modules.gov.state import (
    DEPOSIT_ENDS,
    VOTING_ENDS,
    all_deposits,
    all_votes,
    clearings,
    ended,
    next_id,
    proposals,
)
from pivot.chain.types import Reader
from pivot.primitives.numbers import MAX_INT64


def check_deposits(state: Reader) -> None:
    """The module account holds the deposits, no more and no less. Raises AssertionError."""
    put_down = sum(amount_of(record.amount) for record in all_deposits(state))
    held = balance(state, GOVERNANCE)
    if put_down != held:
        raise AssertionError(f"deposits on proposals add up to {put_down}, but governance holds {held}")


def check_proposals(state: Reader) -> None:
    """Every proposal that is open will end, and no other; deposits and votes belong to one that is open or being cleared.

    Raises AssertionError.
    """
    known = list(proposals(state))
    awaited = {
        gov.PROPOSAL_STATUS_DEPOSIT_PERIOD: sorted(ended(state, DEPOSIT_ENDS, MAX_INT64)),
        gov.PROPOSAL_STATUS_VOTING_PERIOD: sorted(ended(state, VOTING_ENDS, MAX_INT64)),
    }
    for status, ids in awaited.items():
        there = [record.id for record in known if record.status == status]
        if there != ids:
            raise AssertionError(f"proposals {there} have status {status}, but the ends of {ids} are awaited")
    unclear = [clearing.proposal_id for clearing in clearings(state)]
    current = {*(each for ids in awaited.values() for each in ids), *unclear}
    named = {record.proposal_id for record in all_deposits(state)} | {record.proposal_id for record in all_votes(state)}
    if strays := sorted(named - current):
        raise AssertionError(f"there are deposits or votes of proposals {strays}, which are over")
    if known and known[-1].id >= next_id(state):
        raise AssertionError(f"proposal {known[-1].id} exists, but the next one is {next_id(state)}")
