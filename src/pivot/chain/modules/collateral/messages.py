"""Coins put behind a weight, and taken back."""

from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import CollateralCode, CollateralError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import COLLATERAL, send
from pivot.chain.modules.collateral.state import collateral, put_collateral, put_unbonding, unbonding
from pivot.chain.modules.epochs.state import latest
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, InvalidCoin, parse_amount
from pivot.primitives.numbers import Amount
from pivot.protocol.generated.inference.collateral.tx_pb2 import (
    MsgDepositCollateral,
    MsgDepositCollateralResponse,
    MsgWithdrawCollateral,
    MsgWithdrawCollateralResponse,
)

GAS = 10_000


def _check(message: MsgDepositCollateral | MsgWithdrawCollateral) -> None:
    check_address("participant", message.participant)
    _amount(message.amount)


def _deposit(block: Block, message: MsgDepositCollateral) -> MsgDepositCollateralResponse:
    """Coins go to the module's account; they count from the next forming of members on."""
    amount = _amount(message.amount)
    send(block, message.participant, COLLATERAL, amount)
    put_collateral(block.state, message.participant, collateral(block.state, message.participant) + amount)
    block.emit("deposit_collateral", participant=message.participant, amount=f"{amount}{BASE_DENOM}")
    return MsgDepositCollateralResponse()


def _withdraw(block: Block, message: MsgWithdrawCollateral) -> MsgWithdrawCollateralResponse:
    """Coins stop to count at once, and are released some epochs later: until then they can be slashed.

    Once a sprint has begun the epochs are counted from the upcoming one, so that nobody serves through an epoch whose weight
    rested on coins that are gone.
    """
    amount, held = _amount(message.amount), collateral(block.state, message.participant)
    if held < amount:
        raise SdkError(
            SdkCode.INSUFFICIENT_FUNDS,
            f"amount: {message.participant} has {held}{BASE_DENOM} of collateral, less than {amount}{BASE_DENOM}",
        )
    newest = latest(block.state)
    epoch = newest.index + newest.params.collateral_params.unbonding_period_epochs
    put_collateral(block.state, message.participant, held - amount)
    put_unbonding(block.state, message.participant, epoch, unbonding(block.state, message.participant, epoch) + amount)
    block.emit(
        "withdraw_collateral",
        participant=message.participant,
        amount=f"{amount}{BASE_DENOM}",
        completion_epoch=epoch,
    )
    return MsgWithdrawCollateralResponse(completion_epoch=epoch)


def _amount(coin: Coin) -> Amount:
    if coin.denom != BASE_DENOM:
        raise CollateralError(
            CollateralCode.INVALID_DENOM, f"amount: collateral is held in {BASE_DENOM}, not in {coin.denom[:90]!r}"
        )
    try:
        return parse_amount(coin.amount)
    except InvalidCoin as error:
        raise SdkError(SdkCode.INVALID_COINS, f"amount: {error}") from None


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgDepositCollateral, _deposit, gas=lambda _: GAS, check=_check),
    MessageHandler(MsgWithdrawCollateral, _withdraw, gas=lambda _: GAS, check=_check),
]
