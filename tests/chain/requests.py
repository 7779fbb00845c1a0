"""A small network for tests of inferences and rewards: hosts with weights, and requests as all parties sign them."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import state as members
from pivot.chain.modules.models import state as models
from pivot.chain.modules.participants import state as participants
from pivot.chain.store.journal import State
from pivot.chain.types import Block
from pivot.primitives.keys import PrivateKey
from pivot.protocol import draw
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    EpochGroupData,
    Model,
    Participant,
    ParticipantStatus,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params
from pivot.protocol.signing import (
    acceptance_sign_bytes,
    body_hash,
    developer_sign_bytes,
    finish_sign_bytes,
    start_sign_bytes,
)
from tests.chain.chain import key, plain_block

MODEL = "org/model"
PRICE = 10
PRESET = "test"
EPOCH = 1
HOSTS = {"alice": 100, "bob": 60, "carol": 40}
DEVELOPER = key("developer")
DEVELOPER_COINS = 10**9
GATEWAY_COINS = 10**8
REWARDS_SUPPLY = 10**18
EPOCH_START = 10
AFTER_SWITCH = 100
"""A height at which epoch 1 serves and no other may be named."""


def gateway(host: str) -> PrivateKey:
    """The key of a host's gateway account."""
    return key(f"gateway of {host}")


def network(
    hosts: Mapping[str, int] | None = None, *, params: Params | None = None, developer_coins: int = DEVELOPER_COINS
) -> Block:
    """A block in epoch 1, whose members serve `MODEL` with these weights by name."""
    weights = HOSTS if hosts is None else hosts
    balances = {DEVELOPER.address: developer_coins} if developer_coins else {}
    balances |= {gateway(name).address: GATEWAY_COINS for name in weights}
    block = plain_block(height=AFTER_SWITCH, balances=balances, params=params)
    models.put(block.state, Model(id=MODEL, coins_per_token=PRICE))
    for name in weights:
        register(block.state, name)
    add_epoch(block, 0, -110, {}, params)
    add_epoch(block, EPOCH, EPOCH_START, weights, params)
    epochs.switch(block, EPOCH)
    block.events.clear()
    return block


def register(state: State, name: str, **fields: Any) -> None:
    """A host under its character's name."""
    account = key(name)
    consensus_key = hashlib.sha256(account.public_key).digest()
    record = Participant(
        index=account.address,
        address=account.address,
        inference_url=f"http://{name}.example:9000",
        status=ParticipantStatus.ACTIVE,
        account_public_key=account.public_key,
        gateway_address=gateway(name).address,
        validator_key=base64.b64encode(consensus_key).decode(),
    )
    for field, value in fields.items():
        setattr(record, field, value)
    participants.put(state, record)


def add_epoch(
    block: Block, index: int, poc_start: int, weights: Mapping[str, int], params: Params | None = None, **fields: Any
) -> Epoch:
    """The record of an epoch and its members, all of whom serve `MODEL`."""
    params = params or preset_params(PRESET)
    made = Epoch(
        index=index,
        poc_start_block_height=poc_start,
        boundaries=boundaries(params.epoch_params, poc_start),
        params=params,
        randomness=hashlib.sha256(f"randomness {index}".encode()).digest(),
        created_time=block.time,
        **fields,
    )
    epochs.put(block.state, made)
    for model in ("", MODEL) if weights else ():
        shares = [ValidationWeight(member_address=key(name).address, weight=weight) for name, weight in weights.items()]
        shares.sort(key=lambda share: share.member_address)
        total = sum(weights.values())
        members.put_group(
            block.state,
            EpochGroupData(
                epoch_index=index,
                model_id=model,
                validation_weights=shares,
                total_weight=total,
                sub_group_models=[] if model else [MODEL],
            ),
        )
    return made


def make_start(
    block: Block,
    *,
    agent: str = "alice",
    attempt: int = 0,
    epoch: int = EPOCH,
    developer: PrivateKey = DEVELOPER,
    model: str = MODEL,
    body: bytes = b'{"model": "org/model"}',
    age_ns: int = 1_000_000,
    assigned_to: str | None = None,
    **fields: Any,
) -> MsgStartInference:
    """A start that everybody concerned has signed. `age_ns`: how long before the block's time the developer signed.

    `assigned_to`: another host's address than the draw gives; its character must be among `HOSTS` to be able to sign.
    """
    transferred_by = key(agent).address
    timestamp = fields.pop("request_timestamp", block.time - age_ns)
    prompt_hash = body_hash(body)
    inference_id = developer.sign_base64(developer_sign_bytes(prompt_hash, timestamp, transferred_by))
    drawn = executors(block, inference_id, epoch, model)
    if assigned_to is None:
        assigned_to = drawn[attempt] if attempt < len(drawn) else transferred_by
    start = MsgStartInference(
        creator=transferred_by,
        inference_id=inference_id,
        prompt_hash=prompt_hash,
        model=model,
        requested_by=developer.address,
        assigned_to=assigned_to,
        node_version="1",
        max_tokens=100,
        prompt_token_count=20,
        request_timestamp=timestamp,
        epoch_id=epoch,
        attempt=attempt,
        transferred_by=transferred_by,
        developer_public_key=developer.public_key,
    )
    for field, value in fields.items():
        setattr(start, field, value)
    return sign_start(start, agent)


def sign_start(start: MsgStartInference, agent: str = "alice") -> MsgStartInference:
    """Put the agent's and the executor's signatures over the terms as they are now."""
    start.transfer_signature = key(agent).sign_base64(start_sign_bytes(start))
    start.acceptance_signature = by_address(start.assigned_to).sign_base64(acceptance_sign_bytes(start))
    return start


def make_finish(start: MsgStartInference, *, executor: PrivateKey | None = None, **fields: Any) -> MsgFinishInference:
    """A finish of a started request, signed by its executor (or by another key)."""
    signer = executor or by_address(start.assigned_to)
    finish = MsgFinishInference(
        creator=start.assigned_to,
        inference_id=start.inference_id,
        response_hash=body_hash(b"answer"),
        artifact_hash=body_hash(b"artifact"),
        prompt_token_count=15,
        completion_token_count=30,
        executed_by=start.assigned_to,
        start=start,
    )
    for field, value in fields.items():
        setattr(finish, field, value)
    finish.executor_signature = signer.sign_base64(finish_sign_bytes(finish))
    return finish


def executors(block: Block, inference_id: str, epoch: int = EPOCH, model: str = MODEL) -> list[str]:
    """The hosts that the draw gives for a request."""
    record = epochs.epoch(block.state, epoch)
    randomness = record.randomness if record else b""
    return draw.executors(members.weights(block.state, epoch, model), inference_id, randomness)


def by_address(address: str) -> PrivateKey:
    """The key of the host with this address."""
    return next(key(name) for name in [*HOSTS, *EXTRA_HOSTS] if key(name).address == address)


EXTRA_HOSTS = ("dave", "erin")
