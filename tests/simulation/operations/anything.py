"""Any message of the registry with likely values in its fields: a new message takes part without a line here."""

from collections.abc import Iterable
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.registry import MESSAGES
from pivot.primitives.addresses import of_module
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import pack, signers, type_url
from tests.simulation.world import MODELS, World

DEPTH = 3
MODULES = ("gov", "inference", "rewards", "distribution", "collateral", "streamvesting", "training")


def message(world: World, rng: Random) -> Iterable[bytes]:
    """One message, signed by the actor whom it names."""
    kind = rng.choice(sorted(MESSAGES.all()))
    made = _message(world, rng, MESSAGES.all()[kind].type, DEPTH)
    keys = [world.key_of(address) for address in signers(made) if _signs_anything(world, address)]
    yield world.unordered(keys[0] if keys else rng.choice(world.accounts), made)


def _signs_anything(world: World, address: str) -> bool:
    """Whether it is an actor's address, and not an honest host's, who does what is due and nothing else."""
    host = world.host_of(address)
    return address in world.keys and (host is None or not host.honest)


def _message(world: World, rng: Random, kind: type[Message], depth: int) -> Message:
    name = kind.DESCRIPTOR.full_name
    if name == "google.protobuf.Any":
        inner = rng.choice(sorted(MESSAGES.all()))
        return pack(_message(world, rng, MESSAGES.all()[inner].type, min(depth, 1)))
    if name == "cosmos.base.v1beta1.Coin":
        return kind(denom=rng.choice([BASE_DENOM] * 9 + ["uatom"]), amount=str(rng.choice([0, 1, 10**6, 10**30])))
    if name == "google.protobuf.Timestamp":
        return kind(seconds=world.time // 10**9 + rng.choice([-10, 10, 3600]))
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if rng.random() < 0.9:
            _fill(world, rng, made, field, depth)
    return made


def _fill(world: World, rng: Random, made: Message, field: FieldDescriptor, depth: int) -> None:
    if depth <= 0 and field.message_type is not None:
        return
    if field.label == FieldDescriptor.LABEL_REPEATED:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return
        for _ in range(rng.choice([0, 1, 1, 2])):
            getattr(made, field.name).append(_value(world, rng, field, depth))
    elif field.message_type is not None:
        getattr(made, field.name).CopyFrom(_value(world, rng, field, depth))
    else:
        setattr(made, field.name, _value(world, rng, field, depth))


def _value(world: World, rng: Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return _message(world, rng, GetMessageClass(field.message_type), depth - 1)
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice([b"", rng.randbytes(32), rng.randbytes(33), rng.choice(world.accounts).public_key])
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(world, rng)
    return _number(world, rng, field)


def _text(world: World, rng: Random) -> str:
    if rng.random() < 0.6:
        return rng.choice([*world.accounts[:10], *(host.key for host in world.hosts)]).address
    kinds = [
        of_module(rng.choice(MODULES)),
        rng.choice(MODELS),
        rng.choice(sorted(MESSAGES.all())),
        str(rng.choice([0, 1, 5, 10**6, -1])),
        "0.5",
        "",
        "x" * 300,
        BASE_DENOM,
        world.finishes[-1].inference_id if world.finishes else "A" * 88,
        type_url(world.finishes[-1]) if world.finishes else "/",
    ]
    return rng.choice(kinds)


def _number(world: World, rng: Random, field: FieldDescriptor) -> int:
    unsigned = field.type in {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64}
    wide = field.type in {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT64}
    most = 2 ** ((64 if wide else 32) - (0 if unsigned else 1)) - 1
    choices = [0, 1, 2, 100, world.height + rng.randrange(20), epochs.effective_index(world.state), most]
    if not unsigned:
        choices += [-1, -most]
    return min(rng.choice(choices), most)
