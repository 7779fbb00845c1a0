"""Coins that are locked, lent for fees, or put down as collateral."""

from collections.abc import Iterable
from random import Random

from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance, MsgPruneAllowances, MsgRevokeAllowance
from cosmos.slashing.v1beta1.tx_pb2 import MsgUnjail
from cosmos.vesting.v1beta1.tx_pb2 import (
    MsgCreatePeriodicVestingAccount,
    MsgCreatePermanentLockedAccount,
    MsgCreateVestingAccount,
)
from cosmos.vesting.v1beta1.vesting_pb2 import Period
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.modules.slashing.state import sentences
from pivot.primitives.addresses import operator
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral, MsgWithdrawCollateral
from pivot.protocol.generated.inference.restrictions.tx_pb2 import MsgExecuteEmergencyTransfer
from pivot.protocol.messages import pack
from pivot.protocol.transactions import NANOSECONDS
from tests.simulation.actors import account_key
from tests.simulation.operations.accounts import coins
from tests.simulation.operations.governance import EXEMPTION
from tests.simulation.world import World


def vest(world: World, rng: Random) -> Iterable[bytes]:
    """Coins locked for a newcomer, by any of the three schedules."""
    key, newcomer = rng.choice(world.accounts), account_key(f"vested {rng.getrandbits(30)}").address
    now = world.time // NANOSECONDS
    periods = [Period(length=rng.randrange(1, 30), amount=coins(rng.randrange(1, 10**6))) for _ in range(3)]
    yield world.ordered(
        key,
        rng.choice(
            [
                MsgCreateVestingAccount(
                    from_address=key.address,
                    to_address=newcomer,
                    amount=coins(10**6),
                    end_time=now + rng.randrange(1, 100),
                    delayed=rng.random() < 0.5,
                ),
                MsgCreatePermanentLockedAccount(from_address=key.address, to_address=newcomer, amount=coins(10**6)),
                MsgCreatePeriodicVestingAccount(
                    from_address=key.address, to_address=newcomer, start_time=now, vesting_periods=periods
                ),
            ]
        ),
    )


def allow_fees(world: World, rng: Random) -> Iterable[bytes]:
    """Lend coins for fees, pay by them, take them back, clear what has run out."""
    granter, grantee = rng.sample(world.accounts[:30], 2)
    ends = Timestamp(seconds=world.time // NANOSECONDS + rng.randrange(1, 60))
    allowance = BasicAllowance(spend_limit=coins(10**6), expiration=ends)
    yield world.ordered(
        granter,
        MsgGrantAllowance(granter=granter.address, grantee=grantee.address, allowance=pack(allowance)),
    )
    if rng.random() < 0.5:
        yield world.ordered(granter, MsgRevokeAllowance(granter=granter.address, grantee=grantee.address))
    pruner = rng.choice(world.accounts)
    yield world.ordered(pruner, MsgPruneAllowances(pruner=pruner.address))


def put_down_collateral(world: World, rng: Random) -> Iterable[bytes]:
    host = rng.choice(world.hosts)
    (amount,) = coins(rng.choice([1, 10**6, 10**9, 10**17]))
    yield world.ordered(host.key, MsgDepositCollateral(participant=host.address, amount=amount))


def take_collateral_back(world: World, rng: Random) -> Iterable[bytes]:
    host = rng.choice(world.hosts)
    (amount,) = coins(rng.choice([1, 10**6, 10**9]))
    yield world.ordered(host.key, MsgWithdrawCollateral(participant=host.address, amount=amount))


def unjail(world: World, rng: Random) -> Iterable[bytes]:
    """A host that is jailed, or one that is not, wants to be free."""
    jailed = [host for address, _ in sentences(world.state) if (host := world.host_of(address)) is not None]
    host = rng.choice(jailed or world.hosts)
    yield world.unordered(host.key, MsgUnjail(validator_addr=operator(host.address)))


def emergency_transfer(world: World, rng: Random) -> Iterable[bytes]:
    """By the exemption that governance has made, if it has."""
    key = rng.choice(world.accounts)
    yield world.ordered(
        key,
        MsgExecuteEmergencyTransfer(
            exemption_id=EXEMPTION,
            from_address=key.address,
            to_address=world.accounts[0].address,
            amount=str(rng.choice([1, 10**9, 10**10])),
            denom=BASE_DENOM,
        ),
    )
