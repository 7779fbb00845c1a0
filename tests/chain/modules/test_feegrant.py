"""Fees that somebody else pays."""

from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.feegrant.v1beta1 import query_pb2 as q
from cosmos.feegrant.v1beta1.feegrant_pb2 import AllowedMsgAllowance, BasicAllowance, Grant, PeriodicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance, MsgPruneAllowances, MsgRevokeAllowance
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.errors import FeegrantCode, FeegrantError, Rejection, SdkCode
from pivot.chain.modules.feegrant import genesis
from pivot.chain.modules.feegrant.allowances import accept, begin, check, expiration
from pivot.chain.modules.feegrant.invariants import check_allowances
from pivot.chain.modules.feegrant.state import STORE, forget_expired, grant, put
from pivot.chain.types import Reader
from pivot.protocol.messages import pack
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS, timestamp
from tests.chain.chain import GENESIS_TIME, Chain, events_of, key, lone_host, plain_block

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
SEND = "/cosmos.bank.v1beta1.MsgSend"
SERVICE = "cosmos.feegrant.v1beta1.Query"


def coins(amount: int) -> list[Coin]:
    return [Coin(denom="ngonka", amount=str(amount))]


def basic(limit: int = 0, seconds: int = 0) -> BasicAllowance:
    """At most so many ngonka, for so long from the genesis; 0: without that limit."""
    ends = timestamp(GENESIS_TIME + seconds * NANOSECONDS) if seconds else None
    return BasicAllowance(spend_limit=coins(limit) if limit else [], expiration=ends)


def periodic(limit: int, *, total: int = 0, period: int = 10, reset: int = 0) -> PeriodicAllowance:
    return PeriodicAllowance(
        basic=basic(total),
        period=Duration(seconds=period),
        period_spend_limit=coins(limit),
        period_can_spend=coins(limit),
        period_reset=Timestamp(seconds=reset) if reset else None,
    )


def only(allowance: Message, *types: str) -> AllowedMsgAllowance:
    return AllowedMsgAllowance(allowance=pack(allowance), allowed_messages=types)


def given(allowance: Message, granter: str = ALICE.address, grantee: str = BOB.address) -> MsgGrantAllowance:
    return MsgGrantAllowance(granter=granter, grantee=grantee, allowance=pack(allowance))


def send(amount: int = 1) -> MsgSend:
    return MsgSend(from_address=BOB.address, to_address=CAROL.address, amount=coins(amount))


@pytest.fixture
def chain() -> Chain:
    """A chain on which a unit of gas costs 1/100 ngonka."""
    params = preset_params("test")
    params.fee_params.minimum_gas_price_e18 = str(10**16)
    return Chain({ALICE.address: 10_000, BOB.address: 10}, lone_host(params=params))


def rows(state: Reader) -> dict[bytes, bytes]:
    return dict(state.iterate(STORE))


# What an allowance permits


def test_a_basic_allowance_pays_until_nothing_is_left() -> None:
    left = accept(pack(basic(10)), 4, [SEND], 0)
    assert left == pack(basic(6))
    with pytest.raises(FeegrantError, match="basic allowance: fee limit exceeded"):
        accept(left, 7, [SEND], 0)
    assert accept(left, 6, [SEND], 0) is None


def test_an_allowance_without_a_limit_stays_as_it_is() -> None:
    assert accept(pack(basic()), 10**18, [SEND], 0) == pack(basic())


def test_an_allowance_ends() -> None:
    ending = pack(basic(10, seconds=5))
    assert expiration(ending) == GENESIS_TIME + 5 * NANOSECONDS
    assert accept(ending, 1, [SEND], GENESIS_TIME + 5 * NANOSECONDS) is not None
    with pytest.raises(FeegrantError, match="expired") as caught:
        accept(ending, 1, [SEND], GENESIS_TIME + 5 * NANOSECONDS + 1)
    assert caught.value.code == FeegrantCode.EXPIRED


def test_a_period_bounds_what_is_spent_in_it() -> None:
    packed = pack(periodic(10, reset=100))
    left = accept(packed, 8, [SEND], 50 * NANOSECONDS)
    assert left is not None
    with pytest.raises(FeegrantError, match="period limit: fee limit exceeded"):
        accept(left, 3, [SEND], 99 * NANOSECONDS)
    following = accept(left, 3, [SEND], 100 * NANOSECONDS)
    assert following is not None
    found = PeriodicAllowance.FromString(following.value)
    assert (found.period_can_spend[0].amount, found.period_reset.seconds) == ("7", 110)


def test_after_a_long_rest_a_period_begins_now() -> None:
    left = accept(pack(periodic(10, reset=100)), 1, [SEND], 1_000 * NANOSECONDS)
    assert left is not None
    assert PeriodicAllowance.FromString(left.value).period_reset.seconds == 1_010


def test_all_periods_together_have_a_limit() -> None:
    left = accept(pack(periodic(10, total=15, reset=100)), 10, [SEND], 0)
    assert left is not None
    found = PeriodicAllowance.FromString(left.value)
    assert (list(found.period_can_spend), found.basic.spend_limit[0].amount) == ([], "5")
    with pytest.raises(FeegrantError, match="period limit"):
        accept(left, 6, [SEND], 100 * NANOSECONDS)
    assert accept(left, 5, [SEND], 100 * NANOSECONDS) is None
    more = periodic(10, total=15, reset=100)
    more.basic.spend_limit[0].amount = "3"
    with pytest.raises(FeegrantError, match="absolute limit"):
        accept(pack(more), 4, [SEND], 0)


def test_a_new_period_begins_when_it_is_given() -> None:
    for packed in (pack(periodic(10)), pack(only(periodic(10), SEND))):
        assert expiration(begin(packed, 7 * NANOSECONDS)) == 0
        assert b"\x08\x07" in begin(packed, 7 * NANOSECONDS).value
    for packed in (pack(periodic(10, reset=5)), pack(basic(3))):
        assert begin(packed, 7 * NANOSECONDS) == packed


def test_only_allowed_messages_are_paid_for() -> None:
    packed = pack(only(basic(10), SEND))
    assert accept(packed, 4, [SEND, SEND], 0) == pack(only(basic(6), SEND))
    assert accept(packed, 10, [SEND], 0) is None
    with pytest.raises(FeegrantError, match="message does not exist in allowed messages") as caught:
        accept(packed, 4, [SEND, "/cosmos.gov.v1.MsgVote"], 0)
    assert caught.value.code == FeegrantCode.MESSAGE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("allowance", "sentence"),
    [
        (MsgSend(), "this chain has no '/cosmos.bank.v1beta1.MsgSend' here"),
        (only(only(basic(1), SEND), SEND), "AllowedMsgAllowance' here"),
        (only(basic(1)), "allowed messages are empty"),
        (only(basic(1), *["/x"] * 65), "at most 64"),
        (only(basic(1), "/" + "x" * 128), "128 characters"),
        (BasicAllowance(spend_limit=coins(1) * 2), "one amount of ngonka"),
        (BasicAllowance(spend_limit=[Coin(denom="uatom", amount="1")]), "one amount of ngonka"),
        (BasicAllowance(spend_limit=[Coin(denom="ngonka", amount="0")]), "not an amount"),
        (BasicAllowance(spend_limit=[Coin(denom="ngonka", amount="-1")]), "not an amount"),
        (BasicAllowance(spend_limit=[Coin(denom="ngonka", amount=str(2**63))]), "not an amount"),
        (BasicAllowance(expiration=Timestamp(seconds=2**40)), "between 1970"),
        (periodic(1, period=0), "invalid duration"),
        (periodic(1, period=-1), "invalid duration"),
        (PeriodicAllowance(period=Duration(seconds=1)), "an amount is needed"),
        (periodic(10, total=5), "above spend_limit"),
    ],
)
def test_an_allowance_that_is_wrong_is_refused(allowance: Message, sentence: str) -> None:
    with pytest.raises(Rejection, match=sentence):
        check(pack(allowance))


@pytest.mark.parametrize(
    "allowance", [basic(), basic(5, 9), periodic(1), periodic(1, total=1), only(periodic(2), SEND)]
)
def test_an_allowance_that_is_right_is_taken(allowance: Message) -> None:
    check(pack(allowance))


# Transactions


def test_an_account_without_coins_begins_with_anothers_allowance(chain: Chain) -> None:
    assert chain.account(CAROL.address) is None
    granted = chain.deliver(ALICE, given(basic(500), grantee=CAROL.address), fee=500)
    assert granted.code == 0, granted.log
    assert chain.account(CAROL.address) is not None
    back = MsgRevokeAllowance(granter=CAROL.address, grantee=BOB.address)
    result = chain.deliver(CAROL, back, fee=300, fee_granter=ALICE.address)
    assert (result.code, result.log) == (
        SdkCode.NOT_FOUND,
        "failed to execute message; message index: 0: fee-grant not found: not found",
    )
    assert chain.balance(ALICE.address) == 10_000 - 500 - 300
    assert events_of(result, "tx")[0] == {"fee": "300ngonka", "fee_payer": ALICE.address}
    assert events_of(result, "use_feegrant") == [{"granter": ALICE.address, "grantee": CAROL.address}]
    left = grant(chain.state, ALICE.address, CAROL.address)
    assert left is not None
    assert left.allowance == pack(basic(200))


def test_an_account_that_does_not_exist_may_not_pay(chain: Chain) -> None:
    result = chain.deliver(CAROL, MsgPruneAllowances(pruner=CAROL.address), fee=2_000, fee_granter=ALICE.address)
    assert result.code == SdkCode.UNKNOWN_ADDRESS


def test_what_the_allowance_does_not_cover_is_refused_without_a_trace(chain: Chain) -> None:
    without = chain.deliver(BOB, send(), fee=300, fee_granter=ALICE.address)
    assert (without.codespace, without.code) == ("feegrant", FeegrantCode.NO_ALLOWANCE)
    chain.deliver(ALICE, given(basic(200)), fee=500)
    beyond = chain.deliver(BOB, send(), fee=300, fee_granter=ALICE.address)
    assert (beyond.codespace, beyond.code) == ("feegrant", FeegrantCode.LIMIT_EXCEEDED)
    assert beyond.log == (
        f"{ALICE.address} does not allow to pay fees for {BOB.address}: basic allowance: fee limit exceeded"
    )
    assert (chain.account(BOB.address).sequence, chain.balance(ALICE.address)) == (0, 9_500)


def test_an_allowance_that_is_used_up_is_gone(chain: Chain) -> None:
    chain.deliver(ALICE, given(basic(300)), fee=500)
    result = chain.deliver(BOB, send(), fee=300, fee_granter=ALICE.address)
    assert result.code == 0, result.log
    assert events_of(result, "revoke_feegrant")
    assert rows(chain.state) == {}


def test_an_allowance_without_a_limit_pays_and_stays(chain: Chain) -> None:
    chain.deliver(ALICE, given(basic()), fee=500)
    before = rows(chain.state)
    assert chain.deliver(BOB, send(), fee=300, fee_granter=ALICE.address).code == 0
    assert rows(chain.state) == before


def test_who_names_itself_as_granter_pays_itself(chain: Chain) -> None:
    result = chain.deliver(
        ALICE, MsgRevokeAllowance(granter=ALICE.address, grantee=BOB.address), fee=400, fee_granter=ALICE.address
    )
    assert result.code == SdkCode.NOT_FOUND
    assert chain.balance(ALICE.address) == 9_600


def test_one_allowance_for_one_grantee(chain: Chain) -> None:
    chain.deliver(ALICE, given(basic(1)), fee=500)
    twice = chain.deliver(ALICE, given(basic(2)), fee=500)
    assert (twice.code, "fee allowance already exists" in twice.log) == (SdkCode.INVALID_REQUEST, True)
    assert chain.deliver(ALICE, MsgRevokeAllowance(granter=ALICE.address, grantee=BOB.address), fee=500).code == 0
    assert chain.deliver(ALICE, given(basic(2)), fee=500).code == 0


def test_an_allowance_for_oneself_or_with_an_end_in_the_past_is_refused(chain: Chain) -> None:
    own = chain.deliver(ALICE, given(basic(1), grantee=ALICE.address), fee=500)
    assert (own.code, "self-grant" in own.log) == (SdkCode.INVALID_ADDRESS, True)
    chain.time += 100 * NANOSECONDS
    past = chain.deliver(ALICE, given(basic(1, seconds=5)), fee=500)
    assert (past.code, "before current block time" in past.log) == (SdkCode.INVALID_REQUEST, True)


def test_what_has_ended_is_forgotten(chain: Chain) -> None:
    chain.deliver(ALICE, given(basic(100, seconds=5)), fee=500)
    chain.deliver(ALICE, given(basic(100), grantee=CAROL.address), fee=500)
    assert len(rows(chain.state)) == 5
    chain.time += 100 * NANOSECONDS
    chain.block()
    assert len(rows(chain.state)) == 2


def test_anybody_may_have_ended_allowances_deleted(chain: Chain) -> None:
    block = plain_block()
    put(block.state, Grant(granter=ALICE.address, grantee=BOB.address, allowance=pack(basic(1, seconds=5))))
    forget_expired(block.state, GENESIS_TIME + 5 * NANOSECONDS)
    assert len(rows(block.state)) == 3
    forget_expired(block.state, GENESIS_TIME + 5 * NANOSECONDS + 1, 0)
    assert len(rows(block.state)) == 3
    forget_expired(block.state, GENESIS_TIME + 5 * NANOSECONDS + 1)
    assert not rows(block.state)
    result = chain.deliver(ALICE, MsgPruneAllowances(pruner=ALICE.address), fee=1_500)
    assert events_of(result, "prune_feegrant")[0]["pruner"] == ALICE.address


# Queries, genesis, invariants


def test_allowances_are_told_by_pair_grantee_and_granter_in_pages(chain: Chain) -> None:
    for grantee in (BOB, CAROL):
        chain.deliver(ALICE, given(basic(7), grantee=grantee.address), fee=500)
    expected = Grant(granter=ALICE.address, grantee=BOB.address, allowance=pack(basic(7)))
    one = q.QueryAllowanceRequest(granter=ALICE.address, grantee=BOB.address)
    assert chain.query(f"{SERVICE}/Allowance", one).allowance == expected
    mine = chain.query(f"{SERVICE}/Allowances", q.QueryAllowancesRequest(grantee=BOB.address))
    assert (list(mine.allowances), mine.pagination.total) == ([expected], 1)
    page = PageRequest(limit=1)
    found: list[Any] = []
    while True:
        request = q.QueryAllowancesByGranterRequest(granter=ALICE.address, pagination=page)
        answer = chain.query(f"{SERVICE}/AllowancesByGranter", request)
        found += answer.allowances
        if not answer.pagination.next_key:
            break
        page = PageRequest(limit=1, key=answer.pagination.next_key)
    assert sorted(each.grantee for each in found) == sorted([BOB.address, CAROL.address])
    with pytest.raises(AssertionError, match="fee-grant not found"):
        chain.query(f"{SERVICE}/Allowance", q.QueryAllowanceRequest(granter=BOB.address, grantee=ALICE.address))


def test_an_export_gives_the_same_rows() -> None:
    state = plain_block().state
    for grantee, allowance in ((BOB, basic(5, 9)), (CAROL, only(periodic(3, total=4, reset=8), SEND))):
        put(state, Grant(granter=ALICE.address, grantee=grantee.address, allowance=pack(allowance)))
    other = plain_block()
    genesis.load(other, genesis.export(state))
    assert rows(other.state) == rows(state)
    check_allowances(other.state)


def test_a_row_too_many_or_too_few_is_noticed() -> None:
    state = plain_block().state
    put(state, Grant(granter=ALICE.address, grantee=BOB.address, allowance=pack(basic(5, 9))))
    check_allowances(state)
    state.set(STORE, b"\x01" + bytes(8), b"\x01")
    with pytest.raises(AssertionError, match="1 of them with an end, but 1 and 2"):
        check_allowances(state)
