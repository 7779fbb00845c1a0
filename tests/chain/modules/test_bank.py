"""Coins: how they move, what is refused, what clients are told."""

import itertools
from enum import IntEnum
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1 import query_pb2 as q
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.distribution.v1beta1 import query_pb2 as d

from pivot.chain.errors import BankCode, SdkCode, SdkError
from pivot.chain.modules.auth.state import account
from pivot.chain.modules.bank import genesis, quota
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import COMMUNITY_POOL, MODULE_ACCOUNTS, balance, balances, move, send, supply
from pivot.chain.types import Block
from pivot.primitives.addresses import InvalidAddress
from tests.chain.chain import Chain, events_of, key, plain_block

ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
SERVICE = "cosmos.bank.v1beta1.Query"


def coins(amount: object, denom: str = "ngonka") -> list[Coin]:
    return [Coin(denom=denom, amount=str(amount))]


def test_a_move_keeps_the_sum_and_makes_the_account() -> None:
    state = plain_block(balances={ALICE: 10}).state
    move(state, ALICE, BOB, 4)
    assert (balance(state, ALICE), balance(state, BOB)) == (6, 4)
    assert account(state, BOB) is not None
    check_supply(state)


def test_moving_everything_leaves_no_row() -> None:
    state = plain_block(balances={ALICE: 10}).state
    move(state, ALICE, BOB, 10)
    assert list(balances(state)) == [(BOB, 10)]


def test_a_move_to_oneself_changes_nothing() -> None:
    state = plain_block(balances={ALICE: 10}).state
    move(state, ALICE, ALICE, 10)
    assert balance(state, ALICE) == 10


def test_moving_nothing_makes_no_account() -> None:
    state = plain_block(balances={ALICE: 10}).state
    move(state, ALICE, BOB, 0)
    assert account(state, BOB) is None


def test_more_than_is_held_is_refused_and_nothing_moves() -> None:
    state = plain_block(balances={ALICE: 10}).state
    with pytest.raises(SdkError, match="10ngonka is smaller than 11ngonka") as caught:
        move(state, ALICE, BOB, 11)
    assert caught.value.code == SdkCode.INSUFFICIENT_FUNDS
    assert (balance(state, ALICE), balance(state, BOB)) == (10, 0)


def test_a_negative_amount_is_a_bug() -> None:
    with pytest.raises(ValueError, match="cannot be moved"):
        move(plain_block(balances={ALICE: 10}).state, ALICE, BOB, -1)


def test_what_is_no_address_holds_nothing() -> None:
    with pytest.raises(InvalidAddress):
        balance(plain_block().state, "gonka1nobody")


def test_a_send_tells_it_in_the_published_events() -> None:
    block = plain_block(balances={ALICE: 10})
    send(block, ALICE, BOB, 3)
    assert [(event.type, dict(event.attributes)) for event in block.events] == [
        ("coin_spent", {"spender": ALICE, "amount": "3ngonka"}),
        ("coin_received", {"receiver": BOB, "amount": "3ngonka"}),
        ("transfer", {"recipient": BOB, "sender": ALICE, "amount": "3ngonka"}),
        ("message", {"sender": ALICE}),
    ]


def test_coins_out_of_nowhere_are_noticed() -> None:
    block = plain_block(balances={ALICE: 10})
    block.state.set("bank", b"\x02\x14" + bytes(20) + b"ngonka", b"1")
    with pytest.raises(AssertionError, match="add up to 11, but 10"):
        check_supply(block.state)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (MsgSend(from_address=ALICE, to_address=BOB), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(1) * 2), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(1, "uatom")), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(0)), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(-1)), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(2**63)), SdkCode.INVALID_COINS),
        (MsgSend(from_address=ALICE, to_address="gonka1x", amount=coins(1)), SdkCode.INVALID_ADDRESS),
        (MsgSend(from_address=ALICE, to_address=BOB, amount=coins(11)), SdkCode.INSUFFICIENT_FUNDS),
        (MsgSend(from_address=ALICE, to_address=COMMUNITY_POOL, amount=coins(1)), SdkCode.UNAUTHORIZED),
    ],
)
def test_a_send_that_is_wrong_is_refused(message: MsgSend, code: SdkCode) -> None:
    chain = Chain({ALICE: 10})
    assert chain.deliver(key("alice"), message).code == code
    assert chain.balance(ALICE) == 10


def multi(inputs: list[tuple[str, int]], outputs: list[tuple[str, int]]) -> MsgMultiSend:
    return MsgMultiSend(
        inputs=[Input(address=address, coins=coins(amount)) for address, amount in inputs],
        outputs=[Output(address=address, coins=coins(amount)) for address, amount in outputs],
    )


def test_one_sender_may_send_to_many() -> None:
    chain = Chain({ALICE: 10})
    result = chain.deliver(key("alice"), multi([(ALICE, 5)], [(BOB, 2), (CAROL, 3)]))
    assert result.code == 0, result.log
    assert (chain.balance(ALICE), chain.balance(BOB), chain.balance(CAROL)) == (5, 2, 3)
    assert [event["recipient"] for event in events_of(result, "transfer")] == [BOB, CAROL]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (multi([(ALICE, 5)], []), BankCode.NO_OUTPUTS),
        (multi([(ALICE, 5)], [(BOB, 1)] * 501), SdkCode.INVALID_REQUEST),
        (multi([(ALICE, 5)], [(BOB, 4)]), BankCode.INPUT_OUTPUT_MISMATCH),
        (multi([(ALICE, 11)], [(BOB, 5), (CAROL, 6)]), SdkCode.INSUFFICIENT_FUNDS),
        (multi([(ALICE, 5)], [("gonka1x", 5)]), SdkCode.INVALID_ADDRESS),
        (multi([(ALICE, 5)], [(MODULE_ACCOUNTS["rewards"], 5)]), SdkCode.UNAUTHORIZED),
        (multi([(ALICE, 2), (ALICE, 3)], [(BOB, 5)]), BankCode.MULTIPLE_SENDERS),
    ],
)
def test_a_send_to_many_that_is_wrong_is_refused_as_a_whole(message: MsgMultiSend, code: IntEnum) -> None:
    chain = Chain({ALICE: 10})
    assert chain.deliver(key("alice"), message).code == code
    assert chain.balance(ALICE) == 10


def test_balances_are_told_in_every_published_way() -> None:
    chain = Chain({ALICE: 10})
    for method, request in (
        ("Balance", q.QueryBalanceRequest(address=ALICE, denom="ngonka")),
        ("SpendableBalanceByDenom", q.QuerySpendableBalanceByDenomRequest(address=ALICE, denom="ngonka")),
    ):
        assert chain.query(f"{SERVICE}/{method}", request).balance == Coin(denom="ngonka", amount="10")
    for method, listing in (
        ("AllBalances", q.QueryAllBalancesRequest(address=ALICE)),
        ("SpendableBalances", q.QuerySpendableBalancesRequest(address=ALICE)),
    ):
        answer = chain.query(f"{SERVICE}/{method}", listing)
        assert (list(answer.balances), answer.pagination.total) == (coins(10), 1)


def test_who_holds_nothing_has_0_and_an_empty_list() -> None:
    chain = Chain({ALICE: 10})
    nothing = chain.query(f"{SERVICE}/Balance", q.QueryBalanceRequest(address=BOB, denom="ngonka"))
    other = chain.query(f"{SERVICE}/Balance", q.QueryBalanceRequest(address=ALICE, denom="uatom"))
    assert (nothing.balance.amount, other.balance.amount) == ("0", "0")
    assert not chain.query(f"{SERVICE}/AllBalances", q.QueryAllBalancesRequest(address=BOB)).balances


def test_the_supply_is_told() -> None:
    chain = Chain({ALICE: 10, BOB: 5})
    assert supply(chain.state) == 15
    assert list(chain.query(f"{SERVICE}/TotalSupply", q.QueryTotalSupplyRequest()).supply) == coins(15)
    assert chain.query(f"{SERVICE}/SupplyOf", q.QuerySupplyOfRequest(denom="ngonka")).amount.amount == "15"
    assert chain.query(f"{SERVICE}/SupplyOf", q.QuerySupplyOfRequest(denom="x")).amount.amount == "0"


def test_the_coin_is_described() -> None:
    chain = Chain()
    one = chain.query(f"{SERVICE}/DenomMetadata", q.QueryDenomMetadataRequest(denom="ngonka")).metadata
    many = chain.query(f"{SERVICE}/DenomsMetadata", q.QueryDenomsMetadataRequest(pagination=PageRequest()))
    assert (one.base, one.display, list(many.metadatas)) == ("ngonka", "ngonka", [one])
    assert chain.query(f"{SERVICE}/Params", q.QueryParamsRequest()).params.default_send_enabled
    with pytest.raises(AssertionError, match="uatom"):
        chain.query(f"{SERVICE}/DenomMetadata", q.QueryDenomMetadataRequest(denom="uatom"))


def held(address: str, amount: int) -> dict[str, Any]:
    return {"address": address, "coins": [{"denom": "ngonka", "amount": str(amount)}]}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"balances": [{"address": ALICE, "coins": [{"denom": "x", "amount": "1"}]}]}, "only coin"),
        ({"balances": [held(ALICE, 1), held(ALICE, 2)]}, "two balances"),
        (
            {"balances": [{"address": ALICE, "coins": [*held(ALICE, 1)["coins"], *held(ALICE, 2)["coins"]]}]},
            "two balances",
        ),
        ({"balances": [held(ALICE, 2**62), held(BOB, 2**62)]}, "63 bits"),
        ({"balances": [], "supply": [{"denom": "ngonka", "amount": "1"}]}, "add up to 0"),
        ({"balances": [{"address": ALICE, "coins": [{"denom": "ngonka", "amount": "-1"}]}]}, "not an amount"),
    ],
)
def test_a_genesis_that_is_wrong_is_refused(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        genesis.load(plain_block(), document)


def test_owners_of_the_coin_are_told_in_pages() -> None:
    chain = Chain({ALICE: 10, BOB: 5})
    for method, request in (
        ("DenomOwners", q.QueryDenomOwnersRequest),
        ("DenomOwnersByQuery", q.QueryDenomOwnersByQueryRequest),
    ):
        answer = chain.query(f"{SERVICE}/{method}", request(denom="ngonka"))
        assert {each.address: each.balance.amount for each in answer.denom_owners} == {ALICE: "10", BOB: "5"}
        first = chain.query(f"{SERVICE}/{method}", request(denom="ngonka", pagination=PageRequest(limit=1)))
        assert (len(first.denom_owners), bool(first.pagination.next_key)) == (1, True)
        assert not chain.query(f"{SERVICE}/{method}", request(denom="uatom")).denom_owners


def test_the_coin_may_be_sent() -> None:
    chain = Chain()
    (one,) = chain.query(f"{SERVICE}/SendEnabled", q.QuerySendEnabledRequest(denoms=["ngonka", "x"])).send_enabled
    assert (one.denom, one.enabled) == ("ngonka", True)
    assert not chain.query(f"{SERVICE}/SendEnabled", q.QuerySendEnabledRequest()).send_enabled


def test_the_coin_is_described_by_a_query_string_too() -> None:
    method = f"{SERVICE}/DenomMetadataByQueryString"
    assert Chain().query(method, q.QueryDenomMetadataByQueryStringRequest(denom="ngonka")).metadata.symbol == "GNK"
    with pytest.raises(AssertionError, match="uatom"):
        Chain().query(method, q.QueryDenomMetadataByQueryStringRequest(denom="uatom"))


def test_the_community_pool_is_told_as_decimals() -> None:
    chain = Chain({ALICE: 10, COMMUNITY_POOL: 7})
    (pool,) = chain.query("cosmos.distribution.v1beta1.Query/CommunityPool", d.QueryCommunityPoolRequest()).pool
    assert (pool.denom, pool.amount) == ("ngonka", "7" + "0" * 18)
    assert not Chain().query("cosmos.distribution.v1beta1.Query/CommunityPool", d.QueryCommunityPoolRequest()).pool
    told = chain.query("cosmos.distribution.v1beta1.Query/Params", d.QueryParamsRequest()).params
    assert (told.community_tax, told.withdraw_addr_enabled) == ("0", False)


def test_an_export_gives_the_same_rows() -> None:
    block = plain_block(balances={ALICE: 10, BOB: 5})
    quota.use(block.state, ALICE, 4)
    quota.note_maker(block.state, CAROL, ALICE)
    other = plain_block()
    genesis.load(other, genesis.export(block.state))
    assert list(other.state.iterate("bank")) == list(block.state.iterate("bank"))
    empty = plain_block()
    genesis.load(empty, genesis.export(plain_block().state))
    assert balances_of(empty) == []


def balances_of(block: Block) -> list[tuple[str, int]]:
    return list(balances(block.state))


def test_makers_are_asked_up_to_a_bound() -> None:
    block = plain_block(balances={ALICE: 100})
    chain = [ALICE, *(key(f"made{i}").address for i in range(5))]
    for made_by, made in itertools.pairwise(chain):
        quota.put_maker(block.state, made, made_by)
    quota.use(block.state, chain[3], 10)
    assert quota.held(block.state, ALICE) == 10
    with pytest.raises(SdkError, match="must hold 10ngonka"):
        quota.use(block.state, chain[4], 10)
