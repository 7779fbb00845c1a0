"""MsgGrant, MsgRevoke and MsgExec.

Only generic permissions exist: a message type, and a time until which they hold. MsgExec runs others' messages, each of
which has exactly one signer who has permitted its type; it cannot carry another MsgExec.
"""

from collections.abc import Sequence
from functools import partial

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import (
    MsgExec,
    MsgExecResponse,
    MsgGrant,
    MsgGrantResponse,
    MsgRevoke,
    MsgRevokeResponse,
)
from google.protobuf.message import Message

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import MessageHandler, MessageTable, decode
from pivot.chain.modules.auth.state import check_address, ensure_account
from pivot.chain.modules.authz.state import Permission, check_message_type, grant, may_act, revoke
from pivot.chain.modules.bank.quota import note_maker
from pivot.chain.types import Block, Event
from pivot.protocol.messages import signers, type_url
from pivot.protocol.transactions import NANOSECONDS, nanoseconds

GAS_OF_A_GRANT = 10_000
GAS_OF_AN_EXEC = 5_000
"""Beside the gas of what it carries."""
MAX_INNER_MESSAGES = 256
MAX_SECONDS = 2**33
"""Of an expiration: the year 2242. Unix nanoseconds then still fit 64 bits."""

GENERIC = type_url(GenericAuthorization)


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
        raise SdkError(SdkCode.INVALID_REQUEST, "grantee and granter should be different")


def _message_type(published: Grant) -> str:
    """The type that a grant is for. Raises SdkError for another kind of permission."""
    packed = published.authorization
    if packed.type_url != GENERIC:
        raise SdkError(
            SdkCode.INVALID_REQUEST,
            f"grant.authorization: this chain takes {GENERIC}, not {packed.type_url[:200]!r}",
        )
    message_type = decode(GenericAuthorization, packed.value).msg
    check_message_type(message_type)
    return message_type


def _check_grant(message: MsgGrant) -> None:
    _check_pair(message.granter, message.grantee)
    _message_type(message.grant)
    expiration = message.grant.expiration
    if not (0 <= expiration.seconds < MAX_SECONDS and 0 <= expiration.nanos < NANOSECONDS):
        raise SdkError(SdkCode.INVALID_REQUEST, "grant.expiration: not a time between 1970 and 2242")


def _grant(block: Block, message: MsgGrant) -> MsgGrantResponse:
    expiration = nanoseconds(message.grant.expiration)
    if message.grant.HasField("expiration") and expiration <= block.time:
        raise SdkError(SdkCode.INVALID_REQUEST, "grant.expiration: must be after the current block time")
    message_type = _message_type(message.grant)
    note_maker(block.state, message.grantee, message.granter)
    ensure_account(block.state, message.grantee)
    grant(block.state, Permission(message.granter, message.grantee, message_type, expiration))
    block.emit(
        "cosmos.authz.v1beta1.EventGrant",
        msg_type_url=_quoted(message_type),
        granter=_quoted(message.granter),
        grantee=_quoted(message.grantee),
    )
    return MsgGrantResponse()


def _check_revoke(message: MsgRevoke) -> None:
    _check_pair(message.granter, message.grantee)
    check_message_type(message.msg_type_url)


def _revoke(block: Block, message: MsgRevoke) -> MsgRevokeResponse:
    if not revoke(block.state, message.granter, message.grantee, message.msg_type_url):
        raise SdkError(SdkCode.NOT_FOUND, "authorization not found")
    block.emit(
        "cosmos.authz.v1beta1.EventRevoke",
        msg_type_url=_quoted(message.msg_type_url),
        granter=_quoted(message.granter),
        grantee=_quoted(message.grantee),
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
            raise SdkError(SdkCode.INVALID_REQUEST, f"msgs: {packed.type_url} must have exactly one signer here")
        check_address(f"msgs: signer of {packed.type_url}", granters[0])


def _exec(known: MessageTable, block: Block, message: MsgExec) -> MsgExecResponse:
    results = []
    for position, packed in enumerate(message.msgs):
        handler, inner = known.unpack(packed)
        granter = signers(inner)[0]
        if granter != message.grantee and not may_act(
            block.state, granter, message.grantee, packed.type_url, block.time
        ):
            raise SdkError(
                SdkCode.UNAUTHORIZED,
                f"authorization not found: {granter} has not permitted {packed.type_url} to {message.grantee}",
            )
        emitted = len(block.events)
        results.append(handler.handle(block, inner).SerializeToString(deterministic=True))
        index = (("authz_msg_index", str(position)),)
        block.events[emitted:] = [Event(each.type, each.attributes + index) for each in block.events[emitted:]]
    return MsgExecResponse(results=results)


def _quoted(text: str) -> str:
    """As typed events write text."""
    return f'"{text}"'
