"""Accounts in which coins are locked: how much at which time, and that locked coins cannot be spent."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest, QueryAccountsRequest
from cosmos.bank.v1beta1.query_pb2 import QuerySpendableBalancesRequest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.vesting.v1beta1.tx_pb2 import (
    MsgCreatePeriodicVestingAccount,
    MsgCreatePermanentLockedAccount,
    MsgCreateVestingAccount,
)
from cosmos.vesting.v1beta1.vesting_pb2 import (
    BaseVestingAccount,
    ContinuousVestingAccount,
    DelayedVestingAccount,
    Period,
    PeriodicVestingAccount,
    PermanentLockedAccount,
)
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.modules.auth import genesis as auth_genesis
from pivot.chain.modules.auth.queries import QUERIES as ACCOUNT_QUERIES
from pivot.chain.modules.bank.state import ESCROW, balance, move
from pivot.chain.modules.inferences.escrow import hold
from pivot.chain.modules.params.state import note_block_time
from pivot.chain.modules.vesting.genesis import load_account
from pivot.chain.modules.vesting.invariants import check_locks
from pivot.chain.modules.vesting.messages import LATEST_TIME, MAX_PERIODS, MESSAGES
from pivot.chain.modules.vesting.schedules import locked_at
from pivot.chain.modules.vesting.state import locked, put_vesting_account, vesting_account
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.inference.types_pb2 import Inference
from pivot.protocol.messages import type_url
from pivot.protocol.transactions import NANOSECONDS
from tests.chain.chain import GENESIS_TIME, Chain, key, plain_block
from tests.chain.requests import DEVELOPER, network

COINS = 10**6
NOW = GENESIS_TIME // NANOSECONDS
RICH, NEW = key("rich").address, key("new").address
HANDLERS = {type_url(handler.type): handler for handler in MESSAGES}


def coins(amount: int) -> list[Coin]:
    return [Coin(denom="ngonka", amount=str(amount))]


def base(amount: int = 1_000, end: int = 0) -> BaseVestingAccount:
    return BaseVestingAccount(original_vesting=coins(amount), end_time=end)


def deliver(block: Block, message: Message) -> None:
    handler = HANDLERS[type_url(message)]
    handler.check(message)
    assert handler.gas(message) > 0
    with block.frame():
        handler.handle(block, message)


def refused(block: Block, message: Message) -> Rejection:
    with pytest.raises(Rejection) as found:
        deliver(block, message)
    return found.value


def create(**fields: Any) -> MsgCreateVestingAccount:
    """A thousand coins, locked for a thousand seconds."""
    described = {"from_address": RICH, "to_address": NEW, "amount": coins(1_000), "end_time": NOW + 1_000}
    return MsgCreateVestingAccount(**(described | fields))


def periodic(*periods: tuple[int, int], start: int = NOW) -> MsgCreatePeriodicVestingAccount:
    listed = [Period(length=length, amount=coins(amount)) for length, amount in periods]
    return MsgCreatePeriodicVestingAccount(from_address=RICH, to_address=NEW, start_time=start, vesting_periods=listed)


def rich() -> Block:
    return plain_block(balances={RICH: COINS})


# ---- How much is locked ----


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 1_000), (100, 1_000), (101, 999), (550, 500), (999, 2), (1_000, 0), (2_000, 0)]
)
def test_a_continuous_account_unlocks_with_every_second(seconds: int, expected: int) -> None:
    account = ContinuousVestingAccount(base_vesting_account=base(end=1_000), start_time=100)
    assert locked_at(account, seconds) == expected


def test_a_delayed_account_unlocks_at_its_end() -> None:
    account = DelayedVestingAccount(base_vesting_account=base(end=500))
    assert [locked_at(account, seconds) for seconds in (0, 499, 500)] == [1_000, 1_000, 0]


def test_a_periodic_account_unlocks_when_a_period_ends() -> None:
    periods = [Period(length=10, amount=coins(300)), Period(length=20, amount=coins(700))]
    account = PeriodicVestingAccount(base_vesting_account=base(end=130), start_time=100, vesting_periods=periods)
    assert [locked_at(account, seconds) for seconds in (0, 109, 110, 129, 130)] == [1_000, 1_000, 700, 700, 0]


def test_a_permanently_locked_account_never_unlocks() -> None:
    assert locked_at(PermanentLockedAccount(base_vesting_account=base()), LATEST_TIME) == 1_000


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**40), st.integers(1, 2**40), st.integers(0, 2**42))
def test_no_account_ever_locks_more_later(amount: int, start: int, length: int, seconds: int) -> None:
    account = ContinuousVestingAccount(base_vesting_account=base(amount, start + length), start_time=start)
    assert amount >= locked_at(account, seconds) >= locked_at(account, seconds + 1) >= 0


def test_locked_coins_are_a_function_of_the_blocks_time_alone() -> None:
    block = rich()
    deliver(block, create())
    for seconds, expected in ((0, 1_000), (250, 750), (1_000, 0)):
        note_block_time(block.state, (NOW + seconds) * NANOSECONDS)
        assert (locked(block.state, NEW), locked(block.state, RICH)) == (expected, 0)


# ---- Creating accounts ----


def test_each_message_makes_its_kind_of_account_and_moves_the_coins() -> None:
    for message, kind, end in (
        (create(), ContinuousVestingAccount, NOW + 1_000),
        (create(delayed=True), DelayedVestingAccount, NOW + 1_000),
        (
            MsgCreatePermanentLockedAccount(from_address=RICH, to_address=NEW, amount=coins(1_000)),
            PermanentLockedAccount,
            0,
        ),
        (periodic((10, 400), (20, 600)), PeriodicVestingAccount, NOW + 30),
    ):
        block = rich()
        deliver(block, message)
        account = vesting_account(block.state, NEW)
        assert isinstance(account, kind)
        assert account.base_vesting_account.end_time == end
        assert (balance(block.state, NEW), balance(block.state, RICH)) == (1_000, COINS - 1_000)
        assert [event.type for event in block.events] == ["coin_spent", "coin_received", "transfer", "message"]


def test_an_existing_account_cannot_be_locked_by_others() -> None:
    block = rich()
    move(block.state, RICH, NEW, 5)
    found = refused(block, create())
    assert found.code == SdkCode.INVALID_REQUEST
    assert "already exists" in found.log
    assert vesting_account(block.state, NEW) is None


def test_a_modules_account_cannot_be_locked() -> None:
    assert refused(rich(), create(to_address=ESCROW)).code == SdkCode.UNAUTHORIZED


def test_who_has_too_little_locks_nothing() -> None:
    block = plain_block(balances={RICH: 10})
    assert refused(block, create()).code == SdkCode.INSUFFICIENT_FUNDS
    assert vesting_account(block.state, NEW) is None


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (create(end_time=0), "end_time"),
        (create(end_time=NOW), "end_time"),
        (create(end_time=LATEST_TIME + 1), "end_time"),
        (create(to_address="x"), "to_address"),
        (create(from_address="x"), "from_address"),
        (create(amount=[]), "coin"),
        (create(amount=[Coin(denom="btc", amount="1")]), "btc"),
        (periodic(), "vesting_periods"),
        (periodic(*[(1, 1)] * (MAX_PERIODS + 1)), "vesting_periods"),
        (periodic((0, 1)), "length"),
        (periodic((-5, 1)), "length"),
        (periodic((1, 1), start=0), "start_time"),
        (periodic((LATEST_TIME, 1)), "end after"),
        (periodic((1, 2**62), (1, 2**62)), "more than"),
        (periodic((1, 0)), "amount"),
    ],
)
def test_what_no_schedule_can_be_made_of_is_refused_with_its_field(message: Message, field: str) -> None:
    found = refused(rich(), message)
    assert found.code in {SdkCode.INVALID_REQUEST, SdkCode.INVALID_ADDRESS, SdkCode.INVALID_COINS}
    assert field in found.log


# ---- What locked coins cannot do ----


def test_locked_coins_cannot_be_sent_and_unlocked_ones_can() -> None:
    chain = Chain({RICH: COINS})
    (made,) = chain.block(chain.sign(key("rich"), create(amount=coins(1_000), end_time=NOW + 10)))
    assert made.code == 0, made.log
    sent = MsgSend(from_address=NEW, to_address=RICH, amount=coins(500))
    (early,) = chain.block(chain.sign(key("new"), sent))
    assert early.code == SdkCode.INSUFFICIENT_FUNDS
    spendable = chain.query("cosmos.bank.v1beta1.Query/SpendableBalances", QuerySpendableBalancesRequest(address=NEW))
    assert int((spendable.balances or coins(0))[0].amount) < 500
    while chain.time < (NOW + 6) * NANOSECONDS:
        chain.block()
    (late,) = chain.block(chain.sign(key("new"), sent))
    assert late.code == 0, late.log
    assert chain.balance(NEW) == 500


def test_coins_that_come_later_are_free() -> None:
    chain = Chain({RICH: COINS})
    chain.block(
        chain.sign(key("rich"), MsgCreatePermanentLockedAccount(from_address=RICH, to_address=NEW, amount=coins(7)))
    )
    chain.block(chain.sign(key("rich"), MsgSend(from_address=RICH, to_address=NEW, amount=coins(5))))
    (all_of_it,) = chain.block(chain.sign(key("new"), MsgSend(from_address=NEW, to_address=RICH, amount=coins(6))))
    assert all_of_it.code == SdkCode.INSUFFICIENT_FUNDS
    (free,) = chain.block(chain.sign(key("new"), MsgSend(from_address=NEW, to_address=RICH, amount=coins(5))))
    assert free.code == 0, free.log
    assert chain.balance(NEW) == 7


# ---- Accounts as clients read them, and the genesis ----


def test_wallets_read_the_account_with_its_type_number_and_schedule() -> None:
    block = rich()
    deliver(block, create())
    answers = {handler.method.name: handler.answer for handler in ACCOUNT_QUERIES}
    view = View(block.state, block.chain_id, block.height, block.time)
    packed = answers["Account"](view, QueryAccountRequest(address=NEW)).account
    account = ContinuousVestingAccount.FromString(packed.value)
    assert packed.type_url == "/cosmos.vesting.v1beta1.ContinuousVestingAccount"
    assert account.base_vesting_account.base_account == BaseAccount(address=NEW, account_number=1)
    assert account.start_time == NOW
    listed = answers["Accounts"](view, QueryAccountsRequest()).accounts
    assert sorted(each.type_url.split(".")[-1] for each in listed) == ["BaseAccount", "ContinuousVestingAccount"]


def entry(**fields: Any) -> dict[str, Any]:
    """A vesting account as the mainnet's genesis has it."""
    vesting = {
        "base_account": {"address": NEW, "pub_key": None, "account_number": "3", "sequence": "0"},
        "original_vesting": [{"denom": "ngonka", "amount": "1000"}],
        "delegated_free": [],
        "delegated_vesting": [],
        "end_time": "1881894000",
    }
    return {
        "@type": "/cosmos.vesting.v1beta1.ContinuousVestingAccount",
        "base_vesting_account": vesting | fields,
        "start_time": "1755750000",
    }


def test_the_genesis_has_accounts_with_locked_coins() -> None:
    block = plain_block()
    auth_genesis.load(block, {"accounts": [entry()]})
    middle = (1_755_750_000 + 1_881_894_000) // 2
    note_block_time(block.state, middle * NANOSECONDS)
    assert locked(block.state, NEW) == 500
    assert vesting_account(block.state, NEW) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"delegated_free": [{"denom": "ngonka", "amount": "1"}]},
        {"delegated_vesting": [{"denom": "ngonka", "amount": "1"}]},
        {"original_vesting": [{"denom": "btc", "amount": "1"}]},
        {"original_vesting": []},
        {"original_vesting": [{"denom": "ngonka", "amount": str(2**63)}]},
    ],
)
def test_a_genesis_account_that_locks_what_cannot_be_locked_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=NEW):
        load_account(plain_block(), entry(**fields))


def test_locked_coins_do_not_pay_for_requests_and_the_gateway_account_does() -> None:
    block = network(developer_coins=100)
    lock = PermanentLockedAccount(base_vesting_account=base(60))
    put_vesting_account(block.state, DEVELOPER.address, lock)
    record = Inference(
        requested_by=DEVELOPER.address, transferred_by=key("alice").address, escrow_amount=150, inference_id="x"
    )
    hold(block.state, record)
    assert (record.gateway_paid, balance(block.state, DEVELOPER.address)) == (110, 60)


# ---- What holds after every block ----


def test_locked_coins_without_an_account_are_noticed() -> None:
    block = rich()
    deliver(block, create())
    check_locks(block.state)
    nobody = key("nobody").address
    put_vesting_account(block.state, nobody, PermanentLockedAccount(base_vesting_account=base()))
    with pytest.raises(AssertionError, match=f"{nobody} has locked coins, but no account"):
        check_locks(block.state)


def test_more_that_unlocks_than_was_locked_is_noticed() -> None:
    block = rich()
    deliver(block, periodic((1, 600), (1, 400)))
    note_block_time(block.state, GENESIS_TIME + 5 * NANOSECONDS)
    check_locks(block.state)
    broken = vesting_account(block.state, NEW)
    assert isinstance(broken, PeriodicVestingAccount)
    broken.vesting_periods[1].amount[0].amount = "401"
    put_vesting_account(block.state, NEW, broken)
    with pytest.raises(AssertionError, match=f"-1 of 1000 are locked in the account {NEW}"):
        check_locks(block.state)
