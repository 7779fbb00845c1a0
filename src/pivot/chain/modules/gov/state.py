"""Rows of the store `gov`. Numbers in keys are big-endian, ids and times (Unix nanoseconds) 8 bytes.

00 ‖ id                  Proposal
01 ‖ time ‖ id           empty but for one byte: the voting period of the proposal ends then
02 ‖ time ‖ id           the same for its deposit period
03                       id of the next proposal
10 ‖ id ‖ address        Deposit
20 ‖ id ‖ address        Vote
30                       Params; without this row those of mainnet hold
31                       constitution, text
40 ‖ id                  share of the deposits that is kept (18 decimals) and address that gets it: what is still to be cleared
"""

from collections.abc import Iterator
from typing import NamedTuple

from cosmos.gov.v1.gov_pb2 import Deposit, Params, Proposal, Vote

from pivot.chain.errors import GovCode, GovError
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import to_bytes
from pivot.protocol.governance import gov_params

STORE = "gov"
PROPOSALS = b"\x00"
VOTING_ENDS = b"\x01"
DEPOSIT_ENDS = b"\x02"
NEXT_ID_KEY = b"\x03"
DEPOSITS = b"\x10"
VOTES = b"\x20"
PARAMS_KEY = b"\x30"
CONSTITUTION_KEY = b"\x31"
CLEARINGS = b"\x40"
FIRST_ID = 1
NUMBER_BYTES = 8
PRESENT = b"\x01"


class Clearing(NamedTuple):
    """What becomes of the deposits and votes of a proposal that is over."""

    proposal_id: int
    kept_share: int
    """Of every deposit, 18 decimals; the rest goes back."""
    keeper: str
    """Address that gets what is kept."""


def proposal(state: Reader, proposal_id: int) -> Proposal | None:
    """The proposal, or None."""
    row = state.get(STORE, PROPOSALS + number(proposal_id))
    return None if row is None else Proposal.FromString(row)


def require_proposal(state: Reader, proposal_id: int) -> Proposal:
    """The proposal. Raises GovError (INACTIVE_PROPOSAL)."""
    found = proposal(state, proposal_id)
    if found is None:
        raise GovError(GovCode.INACTIVE_PROPOSAL, f"proposal_id: there is no proposal {proposal_id}")
    return found


def proposals(state: Reader) -> Iterator[Proposal]:
    """All proposals by id."""
    for _, row in state.iterate(STORE, PROPOSALS, prefix_end(PROPOSALS)):
        yield Proposal.FromString(row)


def put_proposal(state: State, record: Proposal) -> None:
    """Write a proposal."""
    state.set(STORE, PROPOSALS + number(record.id), record.SerializeToString(deterministic=True))


def forget_proposal(state: State, proposal_id: int) -> None:
    """Delete a proposal that never came to a vote, or was taken back."""
    state.delete(STORE, PROPOSALS + number(proposal_id))


def next_id(state: Reader) -> int:
    """The id that the next proposal gets."""
    return int.from_bytes(state.get(STORE, NEXT_ID_KEY) or number(FIRST_ID))


def put_next_id(state: State, proposal_id: int) -> None:
    """Set the id that the next proposal gets."""
    state.set(STORE, NEXT_ID_KEY, number(proposal_id))


def await_end(state: State, queue: bytes, time_ns: int, proposal_id: int) -> None:
    """Remember when a period (VOTING_ENDS or DEPOSIT_ENDS) of a proposal ends."""
    state.set(STORE, queue + number(time_ns) + number(proposal_id), PRESENT)


def await_no_more(state: State, queue: bytes, time_ns: int, proposal_id: int) -> None:
    """Forget the end of a period."""
    state.delete(STORE, queue + number(time_ns) + number(proposal_id))


def ended(state: Reader, queue: bytes, time_ns: int) -> Iterator[int]:
    """Ids of the proposals whose period has ended by then, the first to end first."""
    for key, _ in state.iterate(STORE, queue, queue + number(time_ns + 1)):
        yield int.from_bytes(key[-NUMBER_BYTES:])


def deposit(state: Reader, proposal_id: int, depositor: str) -> Deposit | None:
    """What somebody has put down for a proposal, or None."""
    row = state.get(STORE, _of(DEPOSITS, proposal_id, depositor))
    return None if row is None else Deposit.FromString(row)


def deposits(state: Reader, proposal_id: int) -> Iterator[Deposit]:
    """All deposits of a proposal, by address bytes."""
    prefix = DEPOSITS + number(proposal_id)
    for _, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        yield Deposit.FromString(row)


def all_deposits(state: Reader) -> Iterator[Deposit]:
    """All deposits of all proposals."""
    for _, row in state.iterate(STORE, DEPOSITS, prefix_end(DEPOSITS)):
        yield Deposit.FromString(row)


def put_deposit(state: State, record: Deposit) -> None:
    """Write a deposit, the whole of what somebody has put down for a proposal."""
    key = _of(DEPOSITS, record.proposal_id, record.depositor)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def forget_deposit(state: State, record: Deposit) -> None:
    """Delete a deposit whose coins have gone."""
    state.delete(STORE, _of(DEPOSITS, record.proposal_id, record.depositor))


def vote(state: Reader, proposal_id: int, voter: str) -> Vote | None:
    """How somebody has voted, or None."""
    row = state.get(STORE, _of(VOTES, proposal_id, voter))
    return None if row is None else Vote.FromString(row)


def votes(state: Reader, proposal_id: int) -> Iterator[Vote]:
    """All votes on a proposal, by address bytes."""
    prefix = VOTES + number(proposal_id)
    for _, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        yield Vote.FromString(row)


def all_votes(state: Reader) -> Iterator[Vote]:
    """All votes on all proposals."""
    for _, row in state.iterate(STORE, VOTES, prefix_end(VOTES)):
        yield Vote.FromString(row)


def put_vote(state: State, record: Vote) -> None:
    """Write a vote in place of the voter's earlier one."""
    state.set(STORE, _of(VOTES, record.proposal_id, record.voter), record.SerializeToString(deterministic=True))


def forget_vote(state: State, record: Vote) -> None:
    """Delete a vote."""
    state.delete(STORE, _of(VOTES, record.proposal_id, record.voter))


def params(state: Reader) -> Params:
    """The rules of governance that hold now."""
    row = state.get(STORE, PARAMS_KEY)
    return gov_params("mainnet") if row is None else Params.FromString(row)


def set_params(state: State, changed: Params) -> None:
    """Replace the rules. Whoever calls this has checked them (`protocol/governance.py`)."""
    state.set(STORE, PARAMS_KEY, changed.SerializeToString(deterministic=True))


def constitution(state: Reader) -> str:
    """What the genesis says that governance is for."""
    return (state.get(STORE, CONSTITUTION_KEY) or b"").decode()


def put_constitution(state: State, text: str) -> None:
    """Write the constitution; nothing if it is empty."""
    if text:
        state.set(STORE, CONSTITUTION_KEY, text.encode())


def clearings(state: Reader) -> Iterator[Clearing]:
    """What is still to be cleared, by proposal."""
    for key, row in state.iterate(STORE, CLEARINGS, prefix_end(CLEARINGS)):
        kept, keeper = row.decode().split(" ", 1)
        yield Clearing(int.from_bytes(key[-NUMBER_BYTES:]), int(kept), keeper)


def put_clearing(state: State, record: Clearing) -> None:
    """Have the deposits and votes of a proposal cleared."""
    state.set(STORE, CLEARINGS + number(record.proposal_id), f"{record.kept_share} {record.keeper}".encode())


def forget_clearing(state: State, proposal_id: int) -> None:
    """Nothing is left to be cleared of a proposal."""
    state.delete(STORE, CLEARINGS + number(proposal_id))


def number(value: int) -> bytes:
    """An id or a time in a key."""
    return value.to_bytes(NUMBER_BYTES)


def _of(prefix: bytes, proposal_id: int, address: str) -> bytes:
    return prefix + number(proposal_id) + to_bytes(address)
