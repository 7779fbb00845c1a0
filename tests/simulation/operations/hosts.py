"""What hosts do besides their duties: come, change, declare their nodes."""

import base64
from collections.abc import Iterable
from random import Random

from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgSetGateway,
    MsgSubmitHardwareDiff,
    MsgSubmitNewParticipant,
    MsgSubmitNewUnfundedParticipant,
)
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode, HardwareNodeStatus
from pivot.protocol.signing import gateway_sign_bytes, registration_sign_bytes
from tests.simulation.actors import Host, account_key
from tests.simulation.world import CHAIN_ID, NODES, World, declared_nodes


def signed_registration(host: Host) -> tuple[str, str]:
    """(consensus key in base64, signature over the registration)."""
    encoded = base64.b64encode(host.consensus_key).decode()
    return encoded, host.key.sign_base64(registration_sign_bytes(CHAIN_ID, host.address, host.url, encoded))


def register(world: World, rng: Random) -> Iterable[bytes]:
    """A host makes itself known, or rotates its consensus key."""
    host = rng.choice(world.hosts)
    if rng.random() < 0.2:
        host.rotate(rng.getrandbits(32))
    encoded, signature = signed_registration(host)
    yield world.unordered(
        host.key,
        MsgSubmitNewParticipant(
            creator=host.address, url=host.url, validator_key=encoded, registration_signature=signature
        ),
    )
    yield world.unordered(
        host.key, MsgSubmitHardwareDiff(creator=host.address, newOrModified=declared_nodes(rng.randrange(1, NODES)))
    )


def register_forwarded(world: World, rng: Random) -> Iterable[bytes]:
    """A consumer without coins registers through a host."""
    newcomer, sponsor = account_key(f"newcomer {rng.getrandbits(24)}"), rng.choice(world.hosts)
    yield world.unordered(
        sponsor.key,
        MsgSubmitNewUnfundedParticipant(
            creator=sponsor.address,
            address=newcomer.address,
            pub_key=base64.b64encode(newcomer.public_key).decode(),
        ),
    )


def declare(world: World, rng: Random) -> Iterable[bytes]:
    """A host's nodes change: other models, another state, gone."""
    host = rng.choice(world.hosts)
    nodes = declared_nodes(rng.randrange(1, 3), first=rng.randrange(0, NODES))
    for node in nodes:
        node.status = rng.choice(HardwareNodeStatus.values())
    removed = [HardwareNode(local_id=f"node{rng.randrange(NODES)}")] if rng.random() < 0.3 else []
    yield world.unordered(host.key, MsgSubmitHardwareDiff(creator=host.address, newOrModified=nodes, removed=removed))


def set_gateway(world: World, rng: Random) -> Iterable[bytes]:
    host = rng.choice(world.hosts)
    signature = host.gateway.sign_base64(gateway_sign_bytes(CHAIN_ID, host.address))
    yield world.unordered(
        host.key,
        MsgSetGateway(creator=host.address, gateway_public_key=host.gateway.public_key, gateway_signature=signature),
    )
