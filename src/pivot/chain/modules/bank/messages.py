"""MsgSend and MsgMultiSend."""

from collections.abc import Sequence

from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgMultiSendResponse, MsgSend, MsgSendResponse
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import BankCode, BankError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.restrictions.transfers import transfer
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, InvalidCoin, parse_amount

GAS_OF_A_TRANSFER = 20_000
MAX_OUTPUTS = 500
"""Receivers of one MsgMultiSend."""


def coin_amount(coins: Sequence[Coin], field: str = "amount") -> int:
    """The one coin in a message's field, in ngonka. Raises SdkError (INVALID_COINS), naming the field."""
    if len(coins) != 1:
        raise SdkError(SdkCode.INVALID_COINS, f"{field}: exactly one coin is taken, in {BASE_DENOM}, not {len(coins)}")
    if coins[0].denom != BASE_DENOM:
        raise SdkError(
            SdkCode.INVALID_COINS, f"{field}: the network has no coin {coins[0].denom[:40]!r}, only {BASE_DENOM}"
        )
    try:
        return parse_amount(coins[0].amount)
    except InvalidCoin as error:
        raise SdkError(SdkCode.INVALID_COINS, f"{field}: {error}") from None


def _check_send(message: MsgSend) -> None:
    check_address("from_address", message.from_address)
    check_address("to_address", message.to_address)
    coin_amount(message.amount)


def _send(block: Block, message: MsgSend) -> MsgSendResponse:
    transfer(block, message.from_address, message.to_address, coin_amount(message.amount))
    return MsgSendResponse()


def _check_multi_send(message: MsgMultiSend) -> None:
    if not message.inputs:
        raise BankError(BankCode.NO_INPUTS, "inputs: no inputs to send transaction")
    if len(message.inputs) > 1:
        raise BankError(BankCode.MULTIPLE_SENDERS, "inputs: multiple senders not allowed")
    if not message.outputs:
        raise BankError(BankCode.NO_OUTPUTS, "outputs: no outputs to send transaction")
    if len(message.outputs) > MAX_OUTPUTS:
        raise SdkError(SdkCode.INVALID_REQUEST, f"outputs: {MAX_OUTPUTS} receivers at most, not {len(message.outputs)}")
    check_address("inputs.address", message.inputs[0].address)
    for output in message.outputs:
        check_address("outputs.address", output.address)
    sent = sum(coin_amount(output.coins, "outputs.coins") for output in message.outputs)
    if coin_amount(message.inputs[0].coins, "inputs.coins") != sent:
        raise BankError(
            BankCode.INPUT_OUTPUT_MISMATCH,
            "outputs: sum inputs != sum outputs, coins of one are not those of the other",
        )


def _multi_send(block: Block, message: MsgMultiSend) -> MsgMultiSendResponse:
    source = message.inputs[0].address
    for output in message.outputs:
        transfer(block, source, output.address, coin_amount(output.coins))
    return MsgMultiSendResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgSend, _send, gas=lambda _: GAS_OF_A_TRANSFER, check=_check_send),
    MessageHandler(
        MsgMultiSend,
        _multi_send,
        gas=lambda message: GAS_OF_A_TRANSFER * len(message.outputs),
        check=_check_multi_send,
    ),
]
