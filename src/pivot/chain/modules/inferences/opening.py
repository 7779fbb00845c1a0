"""Opening an inference: everything that must be true of a request before anybody's coins move.

A request can be opened once, for ever, though its record is deleted some epochs later. Block time never falls, a request
opens only while its time stamp is younger than `LONGEST_REQUEST_AGE_NS`, and no record is deleted before its time stamp is
older than that. So whoever sends the same request again finds its record, or is too late. What the developer has signed
holds the time stamp and is the inference's id, so neither can be changed.
"""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import effective_index, epoch
from pivot.chain.modules.inferences.checks import signature
from pivot.chain.modules.members.state import line
from pivot.chain.modules.participants.state import is_host, require_participant, signing_keys
from pivot.chain.modules.pricing.state import price_since
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.keys import verify
from pivot.protocol import draw, pricing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, Inference, InferenceStatus, ParticipantStatus
from pivot.protocol.parameters import LONGEST_GENERATION_SECONDS
from pivot.protocol.signing import (
    WARM_KEY_GRANT,
    acceptance_sign_bytes,
    developer_sign_bytes,
    start_sign_bytes,
)

NANOSECONDS = 10**9
NANOSECONDS_PER_MILLISECOND = 10**6
LONGEST_REQUEST_AGE_NS = 900 * NANOSECONDS
"""No parameter lets an older request open, and no younger one's record is deleted."""


class HostKeys:
    """Keys that may sign for hosts. One message's items cannot change them, so each host's are looked up once."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._known: dict[str, list[bytes]] = {}

    def of(self, host: str) -> list[bytes]:
        """The host's own key, then those of the first accounts that it has granted the right to (`WARM_KEY_GRANT`)."""
        if host not in self._known:
            self._known[host] = signing_keys(self._block.state, host, WARM_KEY_GRANT, self._block.time)
        return self._known[host]


def opened(block: Block, start: MsgStartInference, keys: HostKeys) -> Inference:
    """The record of a new inference, before its escrow is set aside. The message has passed `check_request`.

    Raises NetworkError: EPOCH_NOT_FOUND, INFERENCE_EXPIRED, INVALID_FIELD, INVALID_MODEL, NOT_DRAWN,
    PARTICIPANT_NOT_FOUND, INVALID_SIGNATURE.
    """
    served = require_epoch(block, start.epoch_id)
    require_fresh(block.time, start.request_timestamp, served)
    per_token = require_price(block.state, start)
    require_drawn(block.state, served, start)
    require_serving(block.state, start)
    require_developer(start)
    require_signed(keys, start.transferred_by, "transfer_signature", start.transfer_signature, start_sign_bytes(start))
    return Inference(
        index=start.inference_id,
        inference_id=start.inference_id,
        prompt_hash=start.prompt_hash,
        prompt_token_count=start.prompt_token_count,
        requested_by=start.requested_by,
        status=InferenceStatus.STARTED,
        start_block_height=block.height,
        start_block_timestamp=block.time // NANOSECONDS_PER_MILLISECOND,
        model=start.model,
        max_tokens=start.max_tokens,
        escrow_amount=pricing.escrow(start.prompt_token_count, start.max_tokens, per_token),
        node_version=start.node_version,
        epoch_id=served.index,
        epoch_poc_start_block_height=served.poc_start_block_height,
        transferred_by=start.transferred_by,
        request_timestamp=start.request_timestamp,
        transfer_signature=start.transfer_signature,
        per_token_price=per_token,
        attempt=start.attempt,
        expected_executor=start.assigned_to,
    )


def require_accepted(keys: HostKeys, start: MsgStartInference) -> None:
    """The executor has said that it will answer: from here on a missing answer is its fault (design, decision 9)."""
    signed = acceptance_sign_bytes(start)
    require_signed(keys, start.assigned_to, "acceptance_signature", start.acceptance_signature, signed)


def require_epoch(block: Block, index: int) -> Epoch:
    """The epoch that a request names: the effective one, or for some blocks after the switch the one before it."""
    effective = effective_index(block.state)
    current = epoch(block.state, effective)
    if current is None:
        raise NetworkError(NetworkCode.CURRENT_EPOCH_NOT_FOUND, f"epoch {effective} has no record")
    if index == effective:
        return current
    last = current.boundaries.set_new_validators + current.params.epoch_params.previous_epoch_grace
    before = epoch(block.state, index) if index == effective - 1 and block.height <= last else None
    if before is None:
        raise NetworkError(
            NetworkCode.EPOCH_NOT_FOUND,
            f"epoch_id is {index} at height {block.height}, where epoch {effective} serves"
            f" (epoch {effective - 1} up to height {last})",
        )
    return before


def require_fresh(now: int, requested: int, served: Epoch) -> None:
    """The request is neither from the future nor older than its parameters and the longest generation allow."""
    limits = served.params.validation_params
    if requested > now + limits.timestamp_advance * NANOSECONDS:
        raise NetworkError(
            NetworkCode.INVALID_FIELD,
            f"request_timestamp {requested} is more than {limits.timestamp_advance} s after the block's time {now}",
        )
    allowed = (limits.timestamp_expiration + LONGEST_GENERATION_SECONDS) * NANOSECONDS
    oldest = now - min(allowed, LONGEST_REQUEST_AGE_NS)
    if requested < oldest:
        raise NetworkError(
            NetworkCode.INFERENCE_EXPIRED,
            f"request_timestamp {requested} is too old at the block's time {now}: the oldest that counts is {oldest}",
        )


def require_price(state: Reader, start: MsgStartInference) -> int:
    """The price of a token, locked when the inference opens: the lowest since the developer has asked."""
    per_token = price_since(state, start.model, start.request_timestamp)
    if per_token is None:
        raise NetworkError(NetworkCode.INVALID_MODEL, f"the network does not know the model {start.model!r}")
    return per_token


def require_drawn(state: State, served: Epoch, start: MsgStartInference) -> None:
    """The executor is the one that the draw gives for this request and attempt, and has not become INVALID since."""
    among = line(state, served.index, start.model)
    drawn = draw.executors(among, start.inference_id, served.randomness)
    if start.attempt >= len(drawn) or drawn[start.attempt] != start.assigned_to:
        raise NetworkError(
            NetworkCode.NOT_DRAWN,
            f"assigned_to {start.assigned_to} is not executor {start.attempt} of epoch {served.index}"
            f" for model {start.model!r}; drawn are {', '.join(drawn) or 'none'}",
        )
    if require_participant(state, start.assigned_to).status == ParticipantStatus.INVALID:
        raise NetworkError(
            NetworkCode.NOT_DRAWN, f"assigned_to {start.assigned_to} has become INVALID: take the next executor drawn"
        )


def require_serving(state: State, start: MsgStartInference) -> None:
    """The transfer agent is a host in good standing."""
    agent = require_participant(state, start.transferred_by)
    if not is_host(agent) or agent.status == ParticipantStatus.INVALID:
        raise NetworkError(
            NetworkCode.PARTICIPANT_NOT_FOUND, f"transferred_by {start.transferred_by} is not a host in good standing"
        )


def require_developer(start: MsgStartInference) -> None:
    """The id is the developer's signature over this very request, for this very transfer agent."""
    signed = developer_sign_bytes(start.prompt_hash, start.request_timestamp, start.transferred_by)
    if not verify(start.developer_public_key, signed, signature("inference_id", start.inference_id)):
        raise NetworkError(
            NetworkCode.INVALID_SIGNATURE,
            f"inference_id is not {start.requested_by}'s signature over"
            " hex(SHA-256(body)), time stamp and transfer agent's address",
        )


def require_signed(keys: HostKeys, host: str, name: str, text: str, signed: bytes) -> None:
    """One of the host's keys has signed these bytes. `text`: the signature in base64."""
    made = signature(name, text)
    if not any(verify(key, signed, made) for key in keys.of(host)):
        raise NetworkError(
            NetworkCode.INVALID_SIGNATURE, f"{name} was not made by {host} or its grantees over these fields"
        )
