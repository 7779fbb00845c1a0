"""MsgGrant, MsgRevoke and MsgExec.

MsgExec runs others' messages, each of which has exactly one signer who has permitted its type; it cannot carry another MsgExec.
"""

from collections.abc import Sequence
from functools import partial

from cosmos.authz.v1beta1.tx_pb2 import (
    MsgExec,
    MsgExecResponse,
    MsgGrant,
    MsgGrantResponse,
    MsgRevoke,
    MsgRevokeResponse,
)
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from google.protobuf.message import Message

from pivot.chain.errors import AuthzCode, AuthzError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler, MessageTable
from pivot.chain.modules.auth.state import check_address, ensure_account
from pivot.chain.modules.authz.authorizations import check_grant, permission_in, spend
from pivot.chain.modules.authz.state import check_message_type, grant, permission, revoke
from pivot.chain.modules.bank.quota import note_maker
from pivot.chain.types import Block, Event
from pivot.protocol.messages import signers, type_url

GAS_OF_A_GRANT = 10_000
GAS_OF_AN_EXEC = 5_000
"""Beside the gas of what it carries."""
MAX_INNER_MESSAGES = 256


def messages(others: Sequence[MessageHandler]) -> list[MessageHandler]:
    """The handlers of this module. MsgExec may carry the `others`, grants and revocations."""
    own = [
        MessageHandler(MsgGrant, _grant, gas=lambda _: GAS_OF_A_GRANT, check=_check_grant),
        MessageHandler(MsgRevoke, _revoke, gas=lambda _: GAS_OF_A_GRANT, check=_check_revoke),
    ]
    known = MessageTable([*others, *own])
    return [
        *own,
        MessageHandler(
            MsgExec,
            partial(_exec, known),
            gas=partial(_gas_of_exec, known),
            check=partial(_check_exec, known),
            inner=partial(_inner, known),
        ),
    ]


def _check_pair(granter: str, grantee: str) -> None:
    check_address("granter", granter)
    check_address("grantee", grantee)
    if granter == grantee:
        raise AuthzError(AuthzCode.GRANTEE_IS_GRANTER, "grantee and granter should be different")


def _check_grant(message: MsgGrant) -> None:
    _check_pair(message.granter, message.grantee)
    check_grant(message.grant)


def _grant(block: Block, message: MsgGrant) -> MsgGrantResponse:
    permitted = permission_in(message.granter, message.grantee, message.grant)
    if message.grant.HasField("expiration") and permitted.expiration_ns <= block.time:
        raise AuthzError(
            AuthzCode.INVALID_EXPIRATION, "grant.expiration: expiration must be after the current block time"
        )
    note_maker(block.state, message.grantee, message.granter)
    ensure_account(block.state, message.grantee)
    grant(block.state, permitted)
    block.emit(
        "cosmos.authz.v1beta1.EventGrant",
        grantee=_quoted(message.grantee),
        granter=_quoted(message.granter),
        msg_type_url=_quoted(permitted.message_type),
    )
    return MsgGrantResponse()


def _check_revoke(message: MsgRevoke) -> None:
    _check_pair(message.granter, message.grantee)
    check_message_type(message.msg_type_url)


def _revoke(block: Block, message: MsgRevoke) -> MsgRevokeResponse:
    if not revoke(block.state, message.granter, message.grantee, message.msg_type_url):
        raise AuthzError(
            AuthzCode.NO_AUTHORIZATION, f"authorization not found: {message.msg_type_url} for {message.grantee}"
        )
    block.emit(
        "cosmos.authz.v1beta1.EventRevoke",
        grantee=_quoted(message.grantee),
        granter=_quoted(message.granter),
        msg_type_url=_quoted(message.msg_type_url),
    )
    return MsgRevokeResponse()


def _inner(known: MessageTable, message: MsgExec) -> list[Message]:
    return [inner for _, inner in map(known.unpack, message.msgs)]


def _gas_of_exec(known: MessageTable, message: MsgExec) -> int:
    return GAS_OF_AN_EXEC + sum(handler.gas(inner) for handler, inner in map(known.unpack, message.msgs))


def _check_exec(known: MessageTable, message: MsgExec) -> None:
    check_address("grantee", message.grantee)
    if not 0 < len(message.msgs) <= MAX_INNER_MESSAGES:
        raise SdkError(SdkCode.INVALID_REQUEST, f"msgs: 1 to {MAX_INNER_MESSAGES} are needed, not {len(message.msgs)}")
    for packed in message.msgs:
        if packed.type_url == type_url(MsgExec):
            raise SdkError(SdkCode.INVALID_REQUEST, "msgs: MsgExec cannot carry another MsgExec")
        handler, inner = known.unpack(packed)
        handler.check(inner)
        granters = signers(inner)
        if len(granters) != 1:
            raise AuthzError(AuthzCode.NUMBER_OF_SIGNERS, f"msgs: {packed.type_url} must have exactly one signer here")
        check_address(f"msgs: signer of {packed.type_url}", granters[0])


def _exec(known: MessageTable, block: Block, message: MsgExec) -> MsgExecResponse:
    results = []
    for position, packed in enumerate(message.msgs):
        handler, inner = known.unpack(packed)
        granter = signers(inner)[0]
        if granter != message.grantee:
            _use_permission(block, granter, message.grantee, inner)
        emitted = len(block.events)
        results.append(handler.handle(block, inner).SerializeToString(deterministic=True))
        index = (("authz_msg_index", str(position)),)
        block.events[emitted:] = [Event(each.type, each.attributes + index) for each in block.events[emitted:]]
    return MsgExecResponse(results=results)


def _use_permission(block: Block, granter: str, grantee: str, message: Message) -> None:
    """Take one message out of what has been permitted. Raises AuthzError (NO_AUTHORIZATION), SdkError."""
    found = permission(block.state, granter, grantee, type_url(message))
    if found is None or not found.holds(block.time):
        raise AuthzError(
            AuthzCode.NO_AUTHORIZATION,
            f"authorization not found: {granter} has not permitted {type_url(message)} to {grantee}",
        )
    if not found.spend_limit or not isinstance(message, MsgSend):
        return
    left = spend(found, message)
    if left.spend_limit:
        grant(block.state, left)
    else:
        revoke(block.state, granter, grantee, left.message_type)


def _quoted(text: str) -> str:
    """As typed events write text."""
    return f'"{text}"'
