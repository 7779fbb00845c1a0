"""The rules of governance, and those under which nothing could be agreed on any more."""

from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf.duration_pb2 import Duration

from pivot.primitives.addresses import of_module
from pivot.protocol.governance import (
    LONGEST_PERIOD_SECONDS,
    MOST_MIN_DEPOSIT,
    InvalidGovernance,
    check_gov_params,
    gov_params,
)
from pivot.protocol.parameters import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_every_presets_rules_are_valid(preset: str) -> None:
    check_gov_params(gov_params(preset))


def test_mainnets_rules_are_the_published_ones() -> None:
    rules = gov_params("mainnet")
    assert (rules.voting_period.seconds, rules.expedited_voting_period.seconds) == (172_800, 43_200)
    assert rules.min_deposit[0].amount == "25000000"
    assert (rules.burn_vote_veto, rules.burn_vote_quorum) == (True, False)


def test_what_a_cancelled_proposal_leaves_may_go_to_an_address() -> None:
    rules = gov_params("mainnet")
    rules.proposal_cancel_dest = of_module("somebody")
    check_gov_params(rules)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_deposit", []),
        ("min_deposit", [Coin(denom="atom", amount="1")]),
        ("min_deposit", [Coin(denom="ngonka", amount="0")]),
        ("min_deposit", [Coin(denom="ngonka", amount=str(MOST_MIN_DEPOSIT + 1))]),
        ("expedited_min_deposit", [Coin(denom="ngonka", amount="1")]),
        ("max_deposit_period", Duration()),
        ("max_deposit_period", Duration(seconds=1, nanos=1)),
        ("voting_period", Duration(seconds=LONGEST_PERIOD_SECONDS + 1)),
        ("voting_period", Duration(seconds=-5)),
        ("expedited_voting_period", Duration(seconds=172_800)),
        ("quorum", "0"),
        ("quorum", "0.95"),
        ("quorum", "a third"),
        ("threshold", "0.49"),
        ("threshold", "1"),
        ("expedited_threshold", "0.5"),
        ("expedited_threshold", "0.91"),
        ("veto_threshold", "0.05"),
        ("min_initial_deposit_ratio", "1.1"),
        ("min_deposit_ratio", "-0.1"),
        ("proposal_cancel_ratio", ""),
        ("proposal_cancel_dest", "nobody"),
    ],
)
def test_rules_that_would_end_governance_are_refused_by_name(name: str, value: Any) -> None:
    rules = gov_params("mainnet")
    if isinstance(value, list):
        rules.ClearField(name)
        getattr(rules, name).extend(value)
    elif isinstance(value, Duration):
        getattr(rules, name).CopyFrom(value)
    else:
        setattr(rules, name, value)
    with pytest.raises(InvalidGovernance, match=name):
        check_gov_params(rules)
