"""Decimal numbers have their point in JSON, wherever they stand in an answer."""

import json

from cosmos.bank.v1beta1.query_pb2 import QueryBalanceResponse
from cosmos.base.v1beta1.coin_pb2 import Coin, DecCoin
from cosmos.distribution.v1beta1.query_pb2 import QueryCommunityPoolResponse
from cosmos.slashing.v1beta1.query_pb2 import QueryParamsResponse
from cosmos.staking.v1beta1.query_pb2 import QueryValidatorsResponse
from cosmos.staking.v1beta1.staking_pb2 import Commission, CommissionRates, Validator

from pivot.chain.gateway.rest import to_json
from pivot.chain.modules.slashing.state import published_params


def test_decimals_in_bytes_are_written_as_the_sdk_does() -> None:
    shown = json.loads(to_json(QueryParamsResponse(params=published_params())))["params"]
    assert shown == {
        "signed_blocks_window": "100",
        "min_signed_per_window": "0.500000000000000000",
        "downtime_jail_duration": "600s",
        "slash_fraction_double_sign": "0.050000000000000000",
        "slash_fraction_downtime": "0.010000000000000000",
    }


def test_decimals_inside_lists_of_messages_have_their_point_and_integers_none() -> None:
    rates = CommissionRates(rate="0", max_rate="200000000000000000", max_change_rate="0")
    one = Validator(tokens="30", delegator_shares=str(30 * 10**18), commission=Commission(commission_rates=rates))
    shown = json.loads(to_json(QueryValidatorsResponse(validators=[one])))["validators"][0]
    assert (shown["tokens"], shown["delegator_shares"]) == ("30", "30.000000000000000000")
    assert shown["commission"]["commission_rates"]["max_rate"] == "0.200000000000000000"


def test_coins_of_the_pool_are_decimals_and_those_of_accounts_are_not() -> None:
    pool = QueryCommunityPoolResponse(pool=[DecCoin(denom="ngonka", amount=str(5 * 10**17))])
    assert json.loads(to_json(pool))["pool"] == [{"denom": "ngonka", "amount": "0.500000000000000000"}]
    balance = QueryBalanceResponse(balance=Coin(denom="ngonka", amount="5"))
    assert json.loads(to_json(balance))["balance"]["amount"] == "5"
