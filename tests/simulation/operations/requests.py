"""Requests of developers, as transfer agents and executors record them."""

from collections.abc import Iterable
from random import Random

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members.state import weights
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgStartInference,
)
from pivot.protocol.signing import (
    acceptance_sign_bytes,
    body_hash,
    developer_sign_bytes,
    finish_sign_bytes,
    start_sign_bytes,
)
from tests.simulation.world import MODELS, World


def new_start(world: World, rng: Random) -> MsgStartInference | None:
    """A request that everybody concerned has signed; None while no host serves the model drawn."""
    serving = epochs.effective(world.state)
    model, agent, developer = rng.choice(MODELS), rng.choice(world.hosts), rng.choice(world.accounts[:50])
    members = weights(world.state, serving.index, model)
    if not members:
        return None
    prompt_hash = body_hash(rng.randbytes(16))
    moment = world.time - rng.randrange(10**9)
    inference_id = developer.sign_base64(developer_sign_bytes(prompt_hash, moment, agent.address))
    candidates = draw.executors(members, inference_id, serving.randomness)
    attempt = rng.randrange(len(candidates))
    executor = world.host_of(candidates[attempt])
    if executor is None:
        return None
    start = MsgStartInference(
        creator=agent.address,
        inference_id=inference_id,
        prompt_hash=prompt_hash,
        model=model,
        requested_by=developer.address,
        assigned_to=executor.address,
        node_version="1",
        max_tokens=rng.randrange(1, 500),
        prompt_token_count=rng.randrange(1, 200),
        request_timestamp=moment,
        epoch_id=serving.index,
        attempt=attempt,
        transferred_by=agent.address,
        developer_public_key=developer.public_key,
    )
    start.transfer_signature = agent.key.sign_base64(start_sign_bytes(start))
    start.acceptance_signature = executor.key.sign_base64(acceptance_sign_bytes(start))
    return start


def new_finish(world: World, rng: Random, start: MsgStartInference) -> MsgFinishInference:
    """What the executor says of it."""
    finish = MsgFinishInference(
        creator=start.assigned_to,
        inference_id=start.inference_id,
        response_hash=body_hash(rng.randbytes(8)),
        artifact_hash=body_hash(rng.randbytes(8)),
        prompt_token_count=rng.randrange(1, start.prompt_token_count + 1),
        completion_token_count=rng.randrange(1, start.max_tokens + 1),
        executed_by=start.assigned_to,
        start=start,
    )
    finish.executor_signature = world.key_of(start.assigned_to).sign_base64(finish_sign_bytes(finish))
    return finish


def record(world: World, rng: Random) -> Iterable[bytes]:
    """A request with its start, its finish or both, in batches of those who report them."""
    for _ in range(rng.randrange(1, 4)):
        start = new_start(world, rng)
        if start is None:
            return
        fate = rng.random()
        if fate < 0.85:
            yield world.unordered(
                world.key_of(start.creator), MsgRecordInferences(creator=start.creator, starts=[start])
            )
        if fate > 0.1:
            finish = new_finish(world, rng, start)
            world.finishes.append(finish)
            yield world.unordered(
                world.key_of(finish.creator), MsgRecordInferences(creator=finish.creator, finishes=[finish])
            )
        else:
            world.starts.append(start)


def single(world: World, rng: Random) -> Iterable[bytes]:
    """The same by the single messages."""
    start = new_start(world, rng)
    if start is None:
        return
    yield world.unordered(world.key_of(start.creator), start)
    yield world.unordered(world.key_of(start.assigned_to), new_finish(world, rng, start))


def finish_late(world: World, rng: Random) -> Iterable[bytes]:
    """An answer that took some blocks, perhaps too many."""
    if world.starts:
        finish = new_finish(world, rng, rng.choice(world.starts))
        world.finishes.append(finish)
        yield world.unordered(
            world.key_of(finish.creator), MsgRecordInferences(creator=finish.creator, finishes=[finish])
        )
