"""A member as a validator of the Cosmos SDK: its consensus power stands where staked tokens would."""

from cosmos.crypto.ed25519.keys_pb2 import PubKey
from cosmos.staking.v1beta1.staking_pb2 import (
    BOND_STATUS_BONDED,
    BOND_STATUS_UNBONDED,
    Commission,
    CommissionRates,
    Description,
    Validator,
)

from pivot.chain.modules.participants.consensus_keys import consensus_key
from pivot.chain.modules.participants.state import participant
from pivot.chain.modules.slashing.state import is_jailed
from pivot.chain.modules.validators.state import is_members, power
from pivot.chain.types import Reader
from pivot.primitives.addresses import operator
from pivot.primitives.fixed_point import ONE
from pivot.protocol.messages import pack


def validator(state: Reader, address: str) -> Validator | None:
    """The validator of a participant; None for whoever neither is a member nor signs blocks."""
    record = participant(state, address)
    key = b"" if record is None else consensus_key(record)
    if record is None or not key or not (power(state, key) or is_members(state, key)):
        return None
    return published(state, address, key)


def published(state: Reader, address: str, key: bytes) -> Validator:
    """A validator as clients read it. Decimals are texts of 18 digits without a point, as they stand in the SDK's protobuf."""
    tokens = power(state, key)
    return Validator(
        operator_address=operator(address),
        consensus_pubkey=pack(PubKey(key=key)),
        jailed=is_jailed(state, address),
        status=BOND_STATUS_BONDED if tokens else BOND_STATUS_UNBONDED,
        tokens=str(tokens),
        delegator_shares=str(tokens * ONE),
        description=Description(moniker=address, details="Its power follows from proof of compute"),
        commission=Commission(commission_rates=CommissionRates(rate="0", max_rate="0", max_change_rate="0")),
        min_self_delegation="1",
    )
