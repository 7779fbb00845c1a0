"""Collateral in a genesis: the two published lists. The coins stand in the section `bank`, on the module's account."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.collateral.queries import published, published_unbonding
from pivot.chain.modules.collateral.state import (
    all_unbondings,
    collateral,
    collaterals,
    put_collateral,
    put_unbonding,
    unbonding,
)
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import require
from pivot.primitives.coins import parse_amount
from pivot.protocol.generated.inference.collateral.types_pb2 import CollateralBalance, UnbondingCollateral

HELD, WITHDRAWN = "collateral_balance_list", "unbonding_collateral_list"


def load(block: Block, document: dict[str, Any]) -> None:
    """Take both lists. Raises ValueError for an address or an epoch that comes twice, InvalidAddress, InvalidCoin."""
    for entry in document.get(HELD, []):
        held = json_format.ParseDict(entry, CollateralBalance())
        if collateral(block.state, require(held.participant)):
            raise ValueError(f"the genesis has two collaterals of {held.participant}")
        put_collateral(block.state, held.participant, parse_amount(held.amount.amount))
    for entry in document.get(WITHDRAWN, []):
        listed = json_format.ParseDict(entry, UnbondingCollateral())
        if unbonding(block.state, require(listed.participant), listed.completion_epoch):
            raise ValueError(
                f"the genesis has two withdrawals of {listed.participant} in epoch {listed.completion_epoch}"
            )
        amount = parse_amount(listed.amount.amount)
        put_unbonding(block.state, listed.participant, listed.completion_epoch, amount)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    held = [published(address, amount) for address, amount in collaterals(state)]
    withdrawn = [published_unbonding(*row) for row in all_unbondings(state)]
    return {
        name: [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in listed]
        for name, listed in ((HELD, held), (WITHDRAWN, withdrawn))
    }
