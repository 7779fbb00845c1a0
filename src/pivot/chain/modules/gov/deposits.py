"""Deposits: coins that stand behind a proposal until it is over, and where they go then.

A proposal may have any number of depositors and voters. When it is over its rows are cleared some per block, so that no crowd
can make a block long.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.gov.v1.gov_pb2 import Deposit, Vote

from pivot.chain.modules.bank.state import COMMUNITY_POOL, GOVERNANCE, send
from pivot.chain.modules.gov.state import (
    Clearing,
    clearings,
    deposit,
    deposits,
    forget_clearing,
    forget_deposit,
    forget_vote,
    put_clearing,
    put_deposit,
    votes,
)
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.fixed_point import ONE, multiply_floor

CLEARED_PER_BLOCK = 500
"""Deposits and votes of proposals that are over which one block clears."""


def amount_of(coins: Iterable[Coin]) -> int:
    """ngonka of coins that have been checked: one, or none."""
    return sum(int(coin.amount) for coin in coins)


def coins_of(amount: int) -> list[Coin]:
    """The amount as messages carry it; no coin if it is 0."""
    return [Coin(denom=BASE_DENOM, amount=str(amount))] if amount else []


def put_down(block: Block, proposal_id: int, depositor: str, amount: int) -> None:
    """Take coins for a proposal, beside those that the depositor has put down for it before.

    Raises SdkError (INSUFFICIENT_FUNDS).
    """
    send(block, depositor, GOVERNANCE, amount)
    before = deposit(block.state, proposal_id, depositor)
    held = amount + (amount_of(before.amount) if before is not None else 0)
    put_deposit(block.state, Deposit(proposal_id=proposal_id, depositor=depositor, amount=coins_of(held)))


def give_back(block: Block, proposal_id: int) -> None:
    """Have all deposits go back, and the votes deleted."""
    put_clearing(block.state, Clearing(proposal_id, 0, COMMUNITY_POOL))


def burn(block: Block, proposal_id: int) -> None:
    """Have all deposits go to the community pool, since the supply is a constant (decision 17), and the votes deleted."""
    put_clearing(block.state, Clearing(proposal_id, ONE, COMMUNITY_POOL))


def clear_some(block: Block) -> None:
    """Clear rows of proposals that are over, the oldest proposal first."""
    left = CLEARED_PER_BLOCK
    for clearing in list(islice(clearings(block.state), CLEARED_PER_BLOCK)):
        rows = list(islice(_rows(block, clearing.proposal_id), left))
        for row in rows:
            if isinstance(row, Deposit):
                _clear_deposit(block, clearing, row)
            else:
                forget_vote(block.state, row)
        left -= len(rows)
        if not left:
            return
        forget_clearing(block.state, clearing.proposal_id)


def _rows(block: Block, proposal_id: int) -> Iterator[Deposit | Vote]:
    yield from deposits(block.state, proposal_id)
    yield from votes(block.state, proposal_id)


def _clear_deposit(block: Block, clearing: Clearing, record: Deposit) -> None:
    """Pay a deposit out: the share that is kept, rounded down, and the rest to its depositor."""
    held = amount_of(record.amount)
    kept = multiply_floor(held, clearing.kept_share)
    forget_deposit(block.state, record)
    for target, amount in ((clearing.keeper, kept), (record.depositor, held - kept)):
        if amount:
            send(block, GOVERNANCE, target, amount)
