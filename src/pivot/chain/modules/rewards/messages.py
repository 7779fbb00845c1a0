"""MsgClaimRewards: a host takes what it is owed for the last epoch, until the next switch."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import ESCROW, send
from pivot.chain.modules.epochs.state import effective, effective_index
from pivot.chain.modules.rewards.state import (
    forget_settle_amount,
    put_summary,
    require_summary,
    settle_amount,
    settlement,
)
from pivot.chain.modules.streamvesting.state import vest
from pivot.chain.modules.validation.duties import require_duties_done
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards, MsgClaimRewardsResponse

GAS_OF_A_CLAIM = 20_000


def check_claim(claim: MsgClaimRewards) -> None:
    """Raises SdkError (INVALID_ADDRESS)."""
    check_address("creator", claim.creator)


def process_claim(block: Block, claim: MsgClaimRewards) -> MsgClaimRewardsResponse:
    """Pay a host its work and its reward of the epoch that ended last, once, if it has done its checking duties.

    Whoever is refused for them may still do them, and claim again. Raises NetworkError (NOTHING_TO_CLAIM, DUTIES_MISSING).
    """
    claimable = effective_index(block.state) - 1
    if claim.epoch_index != claimable:
        raise NetworkError(
            NetworkCode.NOTHING_TO_CLAIM,
            f"No rewards for this block height: epoch {claim.epoch_index} cannot be claimed, claims are open for epoch"
            f" {claimable}, which ended last",
        )
    due = settle_amount(block.state, claimable, claim.creator)
    if due is None:
        under_way = settlement(block.state)
        reason = "its settlement is still under way" if under_way is not None else "nothing is owed, or it is paid"
        raise NetworkError(
            NetworkCode.NOTHING_TO_CLAIM,
            f"No rewards for this address: {claim.creator} has no claim in epoch {claimable}, {reason}",
        )
    require_duties_done(block.state, claimable, claim.creator)
    periods = effective(block.state).params.tokenomics_params
    _pay(block, claim.creator, due.work_coins, periods.work_vesting_period)
    _pay(block, claim.creator, due.reward_coins, periods.reward_vesting_period)
    forget_settle_amount(block.state, due)
    done = require_summary(block.state, claimable, claim.creator)
    done.claimed = True
    put_summary(block.state, done)
    amount = due.work_coins + due.reward_coins
    block.emit("rewards_claimed", participant=claim.creator, epoch_index=claimable, amount=amount)
    return MsgClaimRewardsResponse(amount=amount, result="Rewards claimed successfully")


def _pay(block: Block, host: str, amount: int, epochs: int) -> None:
    """Pay at once, or epoch by epoch where a vesting period is set (W-18: from the account that holds the coins)."""
    if amount and epochs:
        vest(block, ESCROW, host, amount, epochs)
    elif amount:
        send(block, ESCROW, host, amount)


MESSAGES: list[MessageHandler] = [
    MessageHandler(
        MsgClaimRewards, process_claim, gas=lambda _: GAS_OF_A_CLAIM, check=check_claim, duty=True, urgent=True
    )
]
