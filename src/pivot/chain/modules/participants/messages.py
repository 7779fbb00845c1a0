"""Registration of hosts and consumers, and the account that pays for a host's developers (design, decisions 1 and 2)."""

import base64
import binascii
import re

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address, check_public_key, public_key, set_public_key
from pivot.chain.modules.bank.quota import note_maker
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import is_member
from pivot.chain.modules.participants import hardware_messages
from pivot.chain.modules.participants.consensus_keys import claim_key
from pivot.chain.modules.participants.state import is_host, participant, put, require_participant
from pivot.chain.types import Block
from pivot.primitives.addresses import CONSENSUS_KEY_LENGTH, from_public_key
from pivot.primitives.keys import InvalidSignature, decode_signature, is_public_key, recover, verify
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgSetGateway,
    MsgSetGatewayResponse,
    MsgSubmitNewParticipant,
    MsgSubmitNewParticipantResponse,
    MsgSubmitNewUnfundedParticipant,
    MsgSubmitNewUnfundedParticipantResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from pivot.protocol.signing import gateway_sign_bytes, registration_sign_bytes

REGISTRATION_GAS = 20_000
GATEWAY_GAS = 10_000
MAX_URL_LENGTH = 256
_NANOSECONDS_PER_MILLISECOND = 10**6
_URL = re.compile(r"https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")


def _check_registration(address: str, url: str, validator_key: str, signature: str) -> None:
    """A host gives URL, consensus key and signature; a consumer gives none of them."""
    check_address("address", address)
    if bool(url) != bool(validator_key):
        raise _invalid("a host registers with url and validator_key, a consumer with neither")
    if url:
        if len(url) > MAX_URL_LENGTH or _URL.fullmatch(url) is None:
            raise _invalid(f"url must be http(s)://host, of {MAX_URL_LENGTH} characters at most")
        _consensus_key(validator_key)
        _signature("registration_signature", signature)


def _consensus_key(text: str) -> bytes:
    key = _base64("validator_key", text)
    if len(key) != CONSENSUS_KEY_LENGTH:
        raise _invalid(f"validator_key must be base64 of {CONSENSUS_KEY_LENGTH} bytes")
    return key


def _base64(field: str, text: str) -> bytes:
    """Bytes of standard base64 in its only spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw or base64.b64encode(raw).decode() != text:
        raise _invalid(f"{field} is not base64")
    return raw


def _signature(field: str, text: str) -> bytes:
    try:
        return decode_signature(text)
    except InvalidSignature as error:
        raise NetworkError(NetworkCode.INVALID_SIGNATURE, f"{field}: {error}") from None


def _invalid(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, sentence)


# One's own registration


def _check_own(message: MsgSubmitNewParticipant) -> None:
    _check_registration(message.creator, message.url, message.validator_key, message.registration_signature)


def _register_own(block: Block, message: MsgSubmitNewParticipant) -> MsgSubmitNewParticipantResponse:
    """Make a participant, or change URL and consensus key of one that exists. Its history stays (W-7).

    The account key itself must have signed, also where a grantee sends the message.
    """
    account_key = public_key(block.state, message.creator) or b""
    if message.url:
        signed = registration_sign_bytes(block.chain_id, message.creator, message.url, message.validator_key)
        signature = _signature("registration_signature", message.registration_signature)
        try:
            account_key = recover(message.creator, signed, signature)
        except InvalidSignature as error:
            raise NetworkError(NetworkCode.INVALID_SIGNATURE, f"registration_signature: {error}") from None
        set_public_key(block.state, message.creator, account_key)
    _register(block, message.creator, account_key, message.url, message.validator_key)
    return MsgSubmitNewParticipantResponse()


# A registration that somebody else's API node forwards


def _check_forwarded(message: MsgSubmitNewUnfundedParticipant) -> None:
    _check_registration(message.address, message.url, message.validator_key, message.registration_signature)
    check_public_key(message.address, _base64("pub_key", message.pub_key))


def _register_forwarded(
    block: Block, message: MsgSubmitNewUnfundedParticipant
) -> MsgSubmitNewUnfundedParticipantResponse:
    """Make account and participant for an address that has not registered as a host.

    A host that exists changes by its own transactions only: its old registrations, which anybody may have kept, change
    nothing. The same registration once more is no fault.
    """
    account_key = _base64("pub_key", message.pub_key)
    existing = participant(block.state, message.address)
    if existing is not None and is_host(existing):
        same = existing.inference_url == message.url and existing.validator_key == message.validator_key
        if message.url and not same:
            raise NetworkError(
                NetworkCode.ACCOUNT_EXISTS, f"{message.address} is a host; its own transaction can change it"
            )
        return MsgSubmitNewUnfundedParticipantResponse()
    if message.url:
        signed = registration_sign_bytes(block.chain_id, message.address, message.url, message.validator_key)
        if not verify(account_key, signed, _signature("registration_signature", message.registration_signature)):
            raise NetworkError(
                NetworkCode.INVALID_SIGNATURE,
                f"registration_signature was not made by the key of {message.address} over this url and validator_key",
            )
    note_maker(block.state, message.address, message.creator)
    set_public_key(block.state, message.address, account_key)
    _register(block, message.address, account_key, message.url, message.validator_key)
    return MsgSubmitNewUnfundedParticipantResponse()


def _register(block: Block, address: str, account_key: bytes, url: str, validator_key: str) -> None:
    record = participant(block.state, address) or Participant(
        index=address,
        address=address,
        join_time=block.time // _NANOSECONDS_PER_MILLISECOND,
        join_height=block.height,
        status=ParticipantStatus.ACTIVE,
    )
    record.account_public_key = account_key or record.account_public_key
    if url:
        record.inference_url = url
        serving = effective_index(block.state)
        serves = any(is_member(block.state, epoch, address) for epoch in (serving, serving + 1))
        claim_key(block, record, _consensus_key(validator_key), serves=serves)
    put(block.state, record)
    block.emit("participant_registered", participant=address, inference_url=record.inference_url)


# The gateway account


def _check_gateway(message: MsgSetGateway) -> None:
    if not is_public_key(message.gateway_public_key):
        raise _invalid("gateway_public_key is not a compressed secp256k1 key")
    _signature("gateway_signature", message.gateway_signature)


def _set_gateway(block: Block, message: MsgSetGateway) -> MsgSetGatewayResponse:
    """Name the account that pays what the host's developers cannot. That account has agreed by its signature."""
    record = require_participant(block.state, message.creator)
    key, signature = message.gateway_public_key, _signature("gateway_signature", message.gateway_signature)
    if not verify(key, gateway_sign_bytes(block.chain_id, record.address), signature):
        raise NetworkError(
            NetworkCode.INVALID_SIGNATURE, "gateway_signature was not made by gateway_public_key for this host"
        )
    record.gateway_address = from_public_key(key)
    set_public_key(block.state, record.gateway_address, key)
    put(block.state, record)
    return MsgSetGatewayResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgSubmitNewParticipant, _register_own, gas=lambda _: REGISTRATION_GAS, check=_check_own),
    MessageHandler(
        MsgSubmitNewUnfundedParticipant, _register_forwarded, gas=lambda _: REGISTRATION_GAS, check=_check_forwarded
    ),
    MessageHandler(MsgSetGateway, _set_gateway, gas=lambda _: GATEWAY_GAS, check=_check_gateway, duty=True),
    *hardware_messages.MESSAGES,
]
