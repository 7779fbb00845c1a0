"""MsgUnjail, with which a validator comes back, and MsgUpdateParams, which needs a passed proposal."""

from cosmos.slashing.v1beta1.slashing_pb2 import Params
from cosmos.slashing.v1beta1.tx_pb2 import MsgUnjail, MsgUnjailResponse, MsgUpdateParams, MsgUpdateParamsResponse

from pivot.chain.errors import NetworkCode, NetworkError, SdkCode, SdkError, SlashingCode, SlashingError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.participants.state import is_host, participant
from pivot.chain.modules.slashing.state import put_params, put_sentence, sentence
from pivot.chain.types import Block
from pivot.primitives.addresses import Address, InvalidAddress, of_operator
from pivot.primitives.fixed_point import ONE

UNJAIL_GAS = 20_000
UPDATE_GAS = 50_000
LONGEST_WINDOW = 20_000
"""Blocks: as many rows as one validator may have."""
LONGEST_JAIL_SECONDS = 10 * 365 * 86_400
_FRACTIONS = ("min_signed_per_window", "slash_fraction_double_sign", "slash_fraction_downtime")


def _check_unjail(message: MsgUnjail) -> None:
    _operator(message)


def _unjail(block: Block, message: MsgUnjail) -> MsgUnjailResponse:
    """Set a validator free that has sat out its time. It holds power again from this block on, if it is a member."""
    address = _operator(message)
    record = participant(block.state, address)
    if record is None or not is_host(record):
        raise SlashingError(SlashingCode.NO_VALIDATOR, f"validator_addr: {message.validator_addr} is no host")
    found = sentence(block.state, address)
    if found is None:
        raise SlashingError(SlashingCode.NOT_JAILED, "validator not jailed; cannot be unjailed")
    if found.for_ever:
        raise SlashingError(SlashingCode.TOMBSTONED, "validator has signed twice and is jailed for ever")
    if block.time < found.until:
        raise SlashingError(
            SlashingCode.STILL_JAILED,
            f"validator still jailed; cannot be unjailed: {found.until - block.time} nanoseconds are left",
        )
    put_sentence(block.state, address, None)
    return MsgUnjailResponse()


def check_params(params: Params) -> None:
    """Refuse parameters by which nobody, or everybody, would be jailed. Raises NetworkError (INVALID_FIELD)."""
    if not 0 < params.signed_blocks_window <= LONGEST_WINDOW:
        raise _invalid(f"signed_blocks_window must be between 1 and {LONGEST_WINDOW}")
    for name in _FRACTIONS:
        raw: bytes = getattr(params, name)
        if not (raw.isdigit() and len(raw) <= len(str(ONE)) and int(raw) <= ONE):
            raise _invalid(f"{name} must be between 0 and 1")
    if not int(params.min_signed_per_window):
        raise _invalid("min_signed_per_window must be above 0")
    jail = params.downtime_jail_duration
    if not 0 < jail.seconds <= LONGEST_JAIL_SECONDS or jail.nanos:
        raise _invalid(f"downtime_jail_duration must be whole seconds, 1 to {LONGEST_JAIL_SECONDS}")


def _check_update(message: MsgUpdateParams) -> None:
    check_authority(message.authority)
    check_params(message.params)


def _update(block: Block, message: MsgUpdateParams) -> MsgUpdateParamsResponse:
    """Replace the parameters. They hold from the next signature on that is missing."""
    _check_update(message)
    put_params(block.state, message.params)
    return MsgUpdateParamsResponse()


def _operator(message: MsgUnjail) -> Address:
    try:
        return of_operator(message.validator_addr)
    except InvalidAddress as error:
        raise SdkError(SdkCode.INVALID_ADDRESS, f"validator_addr: {error}") from None


def _invalid(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, f"params.{sentence}")


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgUnjail, _unjail, gas=lambda _: UNJAIL_GAS, check=_check_unjail),
    MessageHandler(MsgUpdateParams, _update, gas=lambda _: UPDATE_GAS, check=_check_update),
]
