"""What anybody with coins does."""

from collections.abc import Iterable
from random import Random

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant, MsgRevoke
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import pack, type_url
from pivot.protocol.signing import WARM_KEY_GRANT
from pivot.protocol.transactions import NANOSECONDS
from tests.simulation.actors import account_key
from tests.simulation.world import World

GRANTABLE = (type_url(MsgSend), WARM_KEY_GRANT)


def coins(amount: int) -> list[Coin]:
    return [Coin(denom=BASE_DENOM, amount=str(amount))]


def amount(rng: Random) -> int:
    """Mostly sensible, sometimes nothing, sometimes more than anybody has."""
    return rng.choice([rng.randrange(1, 10**6), rng.randrange(1, 10**12), 1, 10**17])


def somebody(world: World, rng: Random) -> str:
    """An address: an actor's, or one that nobody has seen."""
    if rng.random() < 0.1:
        return account_key(f"stranger {rng.getrandbits(32)}").address
    return rng.choice(world.accounts).address


def send(world: World, rng: Random) -> Iterable[bytes]:
    key = rng.choice(world.accounts)
    message = MsgSend(from_address=key.address, to_address=somebody(world, rng), amount=coins(amount(rng)))
    yield world.ordered(key, message) if rng.random() < 0.5 else world.unordered(key, message)


def multi_send(world: World, rng: Random) -> Iterable[bytes]:
    key = rng.choice(world.accounts)
    outputs = [(somebody(world, rng), rng.randrange(1, 10**6)) for _ in range(rng.randrange(1, 8))]
    total = sum(part for _, part in outputs)
    yield world.ordered(
        key,
        MsgMultiSend(
            inputs=[Input(address=key.address, coins=coins(total))],
            outputs=[Output(address=address, coins=coins(part)) for address, part in outputs],
        ),
    )


def grant(world: World, rng: Random) -> Iterable[bytes]:
    """Let another account send coins, or a warm key sign for a host."""
    url = rng.choice(GRANTABLE)
    key = rng.choice(world.accounts) if url == GRANTABLE[0] else rng.choice(world.hosts).key
    ends = Timestamp(seconds=world.time // NANOSECONDS + rng.choice([1, 30, 3600, -5]))
    yield world.ordered(
        key,
        MsgGrant(
            granter=key.address,
            grantee=rng.choice(world.accounts[:20]).address,
            grant=Grant(authorization=pack(GenericAuthorization(msg=url)), expiration=ends),
        ),
    )


def revoke(world: World, rng: Random) -> Iterable[bytes]:
    """A permission is given, and taken back; or one that nobody has given."""
    key, grantee = rng.choice(world.accounts), rng.choice(world.accounts[:20])
    if rng.random() < 0.7:
        granted = Grant(authorization=pack(GenericAuthorization(msg=GRANTABLE[0])))
        yield world.ordered(key, MsgGrant(granter=key.address, grantee=grantee.address, grant=granted))
    yield world.ordered(key, MsgRevoke(granter=key.address, grantee=grantee.address, msg_type_url=GRANTABLE[0]))


def execute(world: World, rng: Random) -> Iterable[bytes]:
    """A grantee sends somebody's coins, granted or not."""
    grantee, owner = rng.choice(world.accounts[:20]), rng.choice(world.accounts)
    if rng.random() < 0.5:
        ends = Timestamp(seconds=world.time // NANOSECONDS + 3600)
        granted = Grant(authorization=pack(GenericAuthorization(msg=GRANTABLE[0])), expiration=ends)
        yield world.ordered(owner, MsgGrant(granter=owner.address, grantee=grantee.address, grant=granted))
    inner = MsgSend(from_address=owner.address, to_address=somebody(world, rng), amount=coins(rng.randrange(1, 10**6)))
    yield world.unordered(grantee, MsgExec(grantee=grantee.address, msgs=[pack(inner)]))
