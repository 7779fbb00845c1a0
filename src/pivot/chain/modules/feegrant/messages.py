"""MsgGrantAllowance, MsgRevokeAllowance and MsgPruneAllowances.

An allowance makes the grantee's account if there is none: so somebody begins without coins, while another one pays.
"""

from cosmos.feegrant.v1beta1.feegrant_pb2 import Grant
from cosmos.feegrant.v1beta1.tx_pb2 import (
    MsgGrantAllowance,
    MsgGrantAllowanceResponse,
    MsgPruneAllowances,
    MsgPruneAllowancesResponse,
    MsgRevokeAllowance,
    MsgRevokeAllowanceResponse,
)

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address, ensure_account
from pivot.chain.modules.bank.quota import note_maker
from pivot.chain.modules.feegrant.allowances import begin, check, expiration
from pivot.chain.modules.feegrant.state import forget_expired, grant, put, remove
from pivot.chain.types import Block

GAS_OF_AN_ALLOWANCE = 15_000
GAS_OF_PRUNING = 100_000
PRUNED_AT_ONCE = 75
"""Expired allowances that one MsgPruneAllowances deletes, as in the Cosmos SDK."""


def _check_pair(granter: str, grantee: str) -> None:
    check_address("granter", granter)
    check_address("grantee", grantee)
    if granter == grantee:
        raise SdkError(SdkCode.INVALID_ADDRESS, "cannot self-grant fee authorization: invalid address")


def _check_grant(message: MsgGrantAllowance) -> None:
    _check_pair(message.granter, message.grantee)
    check(message.allowance)


def _grant(block: Block, message: MsgGrantAllowance) -> MsgGrantAllowanceResponse:
    if grant(block.state, message.granter, message.grantee) is not None:
        raise SdkError(SdkCode.INVALID_REQUEST, "fee allowance already exists: invalid request")
    ends = expiration(message.allowance)
    if ends and ends < block.time:
        raise SdkError(SdkCode.INVALID_REQUEST, "expiration is before current block time: invalid request")
    note_maker(block.state, message.grantee, message.granter)
    ensure_account(block.state, message.grantee)
    allowance = begin(message.allowance, block.time)
    put(block.state, Grant(granter=message.granter, grantee=message.grantee, allowance=allowance))
    block.emit("set_feegrant", granter=message.granter, grantee=message.grantee)
    return MsgGrantAllowanceResponse()


def _check_revoke(message: MsgRevokeAllowance) -> None:
    _check_pair(message.granter, message.grantee)


def _revoke(block: Block, message: MsgRevokeAllowance) -> MsgRevokeAllowanceResponse:
    if not remove(block.state, message.granter, message.grantee):
        raise SdkError(SdkCode.NOT_FOUND, "fee-grant not found: not found")
    block.emit("revoke_feegrant", granter=message.granter, grantee=message.grantee)
    return MsgRevokeAllowanceResponse()


def _check_prune(message: MsgPruneAllowances) -> None:
    check_address("pruner", message.pruner)


def _prune(block: Block, message: MsgPruneAllowances) -> MsgPruneAllowancesResponse:
    forget_expired(block.state, block.time, PRUNED_AT_ONCE)
    block.emit("prune_feegrant", pruner=message.pruner)
    return MsgPruneAllowancesResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgGrantAllowance, _grant, gas=lambda _: GAS_OF_AN_ALLOWANCE, check=_check_grant),
    MessageHandler(MsgRevokeAllowance, _revoke, gas=lambda _: GAS_OF_AN_ALLOWANCE, check=_check_revoke),
    MessageHandler(MsgPruneAllowances, _prune, gas=lambda _: GAS_OF_PRUNING, check=_check_prune),
]
