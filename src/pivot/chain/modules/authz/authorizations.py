"""The two kinds of permission: GenericAuthorization for one message type, SendAuthorization for so many coins."""

from dataclasses import replace

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.bank.v1beta1.authz_pb2 import SendAuthorization
from cosmos.bank.v1beta1.tx_pb2 import MsgSend

from pivot.chain.errors import AuthzCode, AuthzError, SdkCode, SdkError
from pivot.chain.handlers import decode
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.authz.state import SEND_AUTHORIZATION, Permission, check_message_type
from pivot.primitives.coins import BASE_DENOM, InvalidCoin, parse_amount
from pivot.protocol.messages import type_url
from pivot.protocol.transactions import NANOSECONDS, nanoseconds

MAX_ALLOWED_RECEIVERS = 64
MAX_SECONDS = 2**33
"""Of an expiration: the year 2242. Unix nanoseconds then still fit 64 bits."""

GENERIC = type_url(GenericAuthorization)


def check_grant(published: Grant) -> None:
    """Whether it is a permission that can be used. Raises SdkError, AuthzError (UNKNOWN_AUTHORIZATION)."""
    expiration = published.expiration
    if not (0 <= expiration.seconds < MAX_SECONDS and 0 <= expiration.nanos < NANOSECONDS):
        raise SdkError(SdkCode.INVALID_REQUEST, "grant.expiration: not a time between 1970 and 2242")
    packed = published.authorization
    if packed.type_url == GENERIC:
        check_message_type(decode(GenericAuthorization, packed.value).msg)
    elif packed.type_url == SEND_AUTHORIZATION:
        _check_send(decode(SendAuthorization, packed.value))
    else:
        raise AuthzError(
            AuthzCode.UNKNOWN_AUTHORIZATION,
            f"grant.authorization: this chain takes {GENERIC} and {SEND_AUTHORIZATION}, not {packed.type_url[:200]!r}",
        )


def permission_in(granter: str, grantee: str, published: Grant) -> Permission:
    """The permission of a grant that has been checked."""
    ends, packed = nanoseconds(published.expiration), published.authorization
    if packed.type_url == GENERIC:
        return Permission(granter, grantee, GenericAuthorization.FromString(packed.value).msg, ends)
    limited = SendAuthorization.FromString(packed.value)
    limit = int(limited.spend_limit[0].amount)
    return Permission(granter, grantee, type_url(MsgSend), ends, limit, tuple(limited.allow_list))


def spend(permitted: Permission, message: MsgSend) -> Permission:
    """What is left of a permission with a limit after this send. Raises SdkError (INSUFFICIENT_FUNDS, UNAUTHORIZED)."""
    left = permitted.spend_limit - int(message.amount[0].amount)
    if left < 0:
        raise SdkError(SdkCode.INSUFFICIENT_FUNDS, "requested amount is more than spend limit: insufficient funds")
    if permitted.allow_list and message.to_address not in permitted.allow_list:
        raise SdkError(SdkCode.UNAUTHORIZED, f"cannot send to {message.to_address} address: unauthorized")
    return replace(permitted, spend_limit=left)


def _check_send(limited: SendAuthorization) -> None:
    if len(limited.spend_limit) != 1 or limited.spend_limit[0].denom != BASE_DENOM:
        raise SdkError(SdkCode.INVALID_COINS, f"spend_limit: one amount of {BASE_DENOM} is needed")
    try:
        parse_amount(limited.spend_limit[0].amount)
    except InvalidCoin as error:
        raise SdkError(SdkCode.INVALID_COINS, f"spend_limit: {error}") from None
    receivers = list(limited.allow_list)
    if len(receivers) > MAX_ALLOWED_RECEIVERS or len(set(receivers)) != len(receivers):
        raise SdkError(
            SdkCode.INVALID_REQUEST, f"allow_list: at most {MAX_ALLOWED_RECEIVERS} addresses, each of them once"
        )
    for receiver in receivers:
        check_address("allow_list", receiver)
