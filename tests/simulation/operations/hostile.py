"""What attackers try. All of it must be refused, and cost nobody anything."""

from collections.abc import Iterable
from random import Random

from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.tx.v1beta1.tx_pb2 import TxRaw

from pivot.chain.modules.epochs import state as epochs
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgCommitPoc,
    MsgRecordInferences,
    MsgRevealElement,
    MsgSubmitPocVotes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import PocNodeCommit, PocVerdict, PocVote
from pivot.protocol.signing import finish_sign_bytes
from tests.simulation.operations.accounts import coins
from tests.simulation.operations.requests import new_start
from tests.simulation.world import World


def _theft(world: World, rng: Random) -> MsgSend:
    victim, thief = rng.sample(world.accounts, 2)
    return MsgSend(from_address=victim.address, to_address=thief.address, amount=coins(1_000))


def bad_signature(world: World, rng: Random) -> Iterable[bytes]:
    """A transaction whose signature is another's, of another chain or of another account number."""
    key = rng.choice(world.accounts)
    message = MsgSend(from_address=key.address, to_address=rng.choice(world.accounts).address, amount=coins(1))
    wrong = rng.choice([{"chain_id": "another-chain"}, {"account_number": 10**6}])
    yield world.unordered(key, message, **wrong)
    raw = TxRaw.FromString(world.unordered(key, message))
    raw.signatures[0] = rng.randbytes(64)
    yield raw.SerializeToString(deterministic=True)


def replay(world: World, rng: Random) -> Iterable[bytes]:
    """What was sent before, once more or several times."""
    if world.sent:
        raw = rng.choice(world.sent)
        yield from [raw] * rng.randrange(1, 4)


def garbage(world: World, rng: Random) -> Iterable[bytes]:
    yield rng.randbytes(rng.choice([0, 1, 20, 300]))


def damage(world: World, rng: Random) -> Iterable[bytes]:
    """A known transaction with a few bytes changed, cut off or doubled."""
    if not world.sent:
        return
    raw = bytearray(rng.choice(world.sent))
    for _ in range(rng.randrange(1, 4)):
        if raw:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    yield bytes(rng.choice([raw, raw[: len(raw) // 2], raw + raw[-5:]]))


def flood(world: World, rng: Random) -> Iterable[bytes]:
    """Many small transactions of one account."""
    key = rng.choice(world.accounts)
    message = MsgSend(from_address=key.address, to_address=key.address, amount=coins(1))
    for _ in range(25):
        yield world.unordered(key, message)


def wrong_order(world: World, rng: Random) -> Iterable[bytes]:
    key = rng.choice(world.accounts)
    message = MsgSend(from_address=key.address, to_address=key.address, amount=coins(1))
    yield world.ordered(key, message, sequence=rng.choice([10**6, 2**63]))
    yield world.unordered(key, message, timeout_ns=rng.choice([1, world.time, world.time + 10**15]))


def impersonate(world: World, rng: Random) -> Iterable[bytes]:
    """Somebody else's message under one's own signature."""
    key = rng.choice(world.accounts)
    host = rng.choice(world.hosts)
    epoch = epochs.effective_index(world.state)
    yield world.unordered(
        key, rng.choice([_theft(world, rng), MsgClaimRewards(creator=host.address, epoch_index=epoch)])
    )


def finish_twice(world: World, rng: Random) -> Iterable[bytes]:
    """A finish that was paid already, in a new transaction (W-3)."""
    if world.finishes:
        finish = rng.choice(world.finishes)
        yield world.unordered(
            world.key_of(finish.creator), MsgRecordInferences(creator=finish.creator, finishes=[finish, finish])
        )


def inflate(world: World, rng: Random) -> Iterable[bytes]:
    """More tokens than were asked for, by the executor or by somebody else (W-4); an executor that was not drawn (W-6)."""
    if world.finishes:
        finish = type(rng.choice(world.finishes))()
        finish.CopyFrom(rng.choice(world.finishes))
        finish.completion_token_count = rng.choice([10**6, 2**63, 2**64 - 1])
        if rng.random() < 0.5:
            finish.executor_signature = world.key_of(finish.executed_by).sign_base64(finish_sign_bytes(finish))
        yield world.unordered(
            world.key_of(finish.creator), MsgRecordInferences(creator=finish.creator, finishes=[finish])
        )
    start = new_start(world, rng)
    if start is not None:
        start.assigned_to = rng.choice(world.hosts).address
        yield world.unordered(world.key_of(start.creator), MsgRecordInferences(creator=start.creator, starts=[start]))


def lie_about_work(world: World, rng: Random) -> Iterable[bytes]:
    """Proof of compute by strangers, twice, for others' nodes; votes without a hash; elements that are guessed."""
    key = rng.choice([*world.accounts[:5], *(host.key for host in world.hosts)])
    epoch = epochs.effective_index(world.state) + rng.choice([0, 1, 2])
    yield world.unordered(
        key,
        rng.choice(
            [
                MsgCommitPoc(
                    creator=key.address,
                    epoch_index=epoch,
                    nodes=[
                        PocNodeCommit(
                            node_number=rng.randrange(6),
                            node_id="node0",
                            count=rng.choice([1, 2**40]),
                            merkle_root=bytes(32),
                        )
                    ],
                    hash_chain_tip=sha256(b"tip"),
                ),
                MsgSubmitPocVotes(
                    creator=key.address,
                    epoch_index=epoch,
                    votes=[
                        PocVote(
                            participant=rng.choice(world.hosts).address,
                            checked=5,
                            mismatched=5,
                            verdict=PocVerdict.POC_INVALID,
                        )
                    ],
                    salt=bytes(32),
                ),
                MsgRevealElement(
                    creator=key.address, epoch_index=epoch, segment=rng.randrange(24), element=rng.randbytes(32)
                ),
                MsgClaimRewards(creator=key.address, epoch_index=epoch),
            ]
        ),
    )
