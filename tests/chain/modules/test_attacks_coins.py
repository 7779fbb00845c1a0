"""Coins that may not move: locked ones, and those of a restricted network. Every message that moves coins is tried."""

import ast
from pathlib import Path

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance
from cosmos.gov.v1.tx_pb2 import MsgCancelProposal, MsgDeposit, MsgSubmitProposal
from cosmos.vesting.v1beta1.tx_pb2 import (
    MsgCreatePeriodicVestingAccount,
    MsgCreatePermanentLockedAccount,
    MsgCreateVestingAccount,
)
from cosmos.vesting.v1beta1.vesting_pb2 import BaseVestingAccount, Period, PermanentLockedAccount
from google.protobuf.message import Message

import pivot.chain
from pivot.chain.errors import NetworkCode
from pivot.chain.modules.bank.state import ESCROW, MODULE_ACCOUNTS, balance, move, spendable
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.lifetime import expire_due
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.restrictions.transfers import ABSENT_MODULES
from pivot.chain.modules.vesting import schedules, state
from pivot.chain.modules.vesting.messages import MAX_PERIODS
from pivot.chain.modules.vesting.state import locked, put_vesting_account
from pivot.primitives.addresses import of_module
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral, MsgWithdrawCollateral
from pivot.protocol.generated.inference.restrictions.tx_pb2 import MsgExecuteEmergencyTransfer
from pivot.protocol.messages import pack, type_url
from tests.chain.chain import Chain, key, plain_block
from tests.chain.modules.checking import Checking
from tests.chain.modules.governance import DEPOSIT
from tests.chain.requests import DEVELOPER, GATEWAY_COINS, gateway, make_finish, make_start

COINS = 10**9
FREE = 1_000
"""Coins of the locked account that it may spend."""
THIEF, FRIEND = key("thief"), key("friend")
NOW = 1_700_000_000
LATER = NOW + 10**6


def coins(amount: int) -> list[Coin]:
    return [Coin(denom="ngonka", amount=str(amount))]


def to_friend(amount: int) -> list[Message]:
    """All messages by which coins of one's own become another account's."""
    source, target = THIEF.address, FRIEND.address
    period = Period(length=1, amount=coins(amount))
    return [
        MsgSend(from_address=source, to_address=target, amount=coins(amount)),
        MsgMultiSend(
            inputs=[Input(address=source, coins=coins(amount))], outputs=[Output(address=target, coins=coins(amount))]
        ),
        MsgCreateVestingAccount(from_address=source, to_address=target, amount=coins(amount), end_time=LATER),
        MsgCreatePermanentLockedAccount(from_address=source, to_address=target, amount=coins(amount)),
        MsgCreatePeriodicVestingAccount(from_address=source, to_address=target, start_time=1, vesting_periods=[period]),
        MsgExecuteEmergencyTransfer(
            exemption_id="none", from_address=source, to_address=target, amount=str(amount), denom="ngonka"
        ),
    ]


def elsewhere(amount: int) -> list[Message]:
    """All messages by which coins of one's own go to a module's account."""
    return [
        MsgDepositCollateral(participant=THIEF.address, amount=coins(amount)[0]),
        MsgSubmitProposal(proposer=THIEF.address, initial_deposit=coins(amount), title="title", summary="summary"),
    ]


def granted(message: Message) -> MsgGrant:
    authorization = pack(GenericAuthorization(msg=type_url(message)))
    return MsgGrant(granter=THIEF.address, grantee=FRIEND.address, grant=Grant(authorization=authorization))


# Locked coins


@pytest.fixture
def locked_chain() -> Chain:
    """The thief holds coins of which all but some are locked for ever."""
    chain = Chain({key("rich").address: COINS})
    rich = key("rich")
    lock = MsgCreatePermanentLockedAccount(
        from_address=rich.address, to_address=THIEF.address, amount=coins(COINS - 2 * FREE)
    )
    assert chain.deliver(rich, lock).code == 0
    assert (
        chain.deliver(rich, MsgSend(from_address=rich.address, to_address=THIEF.address, amount=coins(FREE))).code == 0
    )
    return chain


@pytest.mark.parametrize("message", [*to_friend(FREE + 1), *elsewhere(FREE + 1)], ids=type_url)
def test_locked_coins_leave_by_no_message(locked_chain: Chain, message: Message) -> None:
    held = locked_chain.balance(THIEF.address)
    assert locked_chain.deliver(THIEF, message).code != 0
    assert locked_chain.balance(THIEF.address) == held


def test_locked_coins_pay_no_fee_of_ones_own_or_of_a_friend(locked_chain: Chain) -> None:
    chain, held = locked_chain, locked_chain.balance(THIEF.address)
    allowance = MsgGrantAllowance(
        granter=THIEF.address, grantee=FRIEND.address, allowance=pack(BasicAllowance(spend_limit=coins(COINS)))
    )
    assert chain.deliver(THIEF, allowance).code == 0
    assert chain.deliver(THIEF, granted(MsgSend()), fee=FREE + 1).code != 0
    revoked = MsgGrant(
        granter=FRIEND.address,
        grantee=THIEF.address,
        grant=Grant(authorization=pack(GenericAuthorization(msg="/x"))),
    )
    assert chain.deliver(FRIEND, revoked, fee=FREE + 1, fee_granter=THIEF.address).code != 0
    assert chain.balance(THIEF.address) == held
    assert chain.deliver(FRIEND, revoked, fee=FREE, fee_granter=THIEF.address).code == 0


def test_a_grantee_moves_no_coins_that_its_granter_could_not_move(locked_chain: Chain) -> None:
    chain = locked_chain
    send = to_friend(FREE + 1)[0]
    assert chain.deliver(THIEF, granted(send)).code == 0
    assert chain.deliver(FRIEND, MsgExec(grantee=FRIEND.address, msgs=[pack(send)])).code != 0
    nested = MsgExec(grantee=FRIEND.address, msgs=[pack(MsgExec(grantee=FRIEND.address, msgs=[pack(send)]))])
    assert chain.deliver(FRIEND, nested).code != 0
    assert chain.balance(FRIEND.address) == 0


def test_a_gateway_account_whose_coins_are_locked_pays_for_nobody() -> None:
    network = Checking()
    agent = gateway("alice").address
    put_vesting_account(
        network.state,
        agent,
        PermanentLockedAccount(
            base_vesting_account=BaseVestingAccount(original_vesting=coins(balance(network.state, agent)))
        ),
    )
    poor = make_start(network.block, developer=key("poor"))
    refused = network.refused(make_finish(poor))
    assert refused.code == NetworkCode.REQUESTER_CANNOT_PAY
    assert "has 0ngonka" in refused.log


def test_the_periods_of_an_account_are_counted_once_however_often_its_coins_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cheap MsgMultiSend would else read all its periods for each of 500 receivers."""
    periods = [Period(length=1, amount=coins(1)) for _ in range(MAX_PERIODS)]
    message = MsgCreatePeriodicVestingAccount(
        from_address=key("rich").address, to_address=THIEF.address, start_time=LATER, vesting_periods=periods
    )
    chain = Chain({key("rich").address: COINS})
    assert chain.deliver(key("rich"), message).code == 0
    counted: list[int] = []
    monkeypatch.setattr(
        state, "locked_at", lambda account, seconds: counted.append(seconds) or schedules.locked_at(account, seconds)
    )
    more = MsgSend(from_address=key("rich").address, to_address=THIEF.address, amount=coins(FREE))
    assert chain.deliver(key("rich"), more).code == 0
    outputs = [Output(address=FRIEND.address, coins=coins(1)) for _ in range(100)]
    many = MsgMultiSend(inputs=[Input(address=THIEF.address, coins=coins(100))], outputs=outputs)
    assert chain.deliver(THIEF, many).code == 0
    assert len(counted) <= 1
    assert locked(chain.state, THIEF.address) == MAX_PERIODS


# Restricted coins


def restricted(friend: int) -> Chain:
    """A chain without transfers between users, on which the friend holds so many coins."""
    return Chain(
        {THIEF.address: COINS, FRIEND.address: friend},
        sections={"restrictions": {"params": {"restriction_end_block": "100000"}}},
    )


@pytest.fixture
def restricted_chain() -> Chain:
    return restricted(friend=1)


@pytest.mark.parametrize("message", to_friend(FREE), ids=type_url)
def test_w21_no_message_gives_a_friend_coins_while_transfers_are_restricted(
    restricted_chain: Chain, message: Message
) -> None:
    chain = restricted_chain
    assert chain.deliver(THIEF, message).code != 0
    assert chain.deliver(THIEF, granted(message)).code == 0
    assert chain.deliver(FRIEND, MsgExec(grantee=FRIEND.address, msgs=[pack(message)])).code != 0
    assert chain.balance(FRIEND.address) == 1


def test_w21_a_deposit_on_a_friends_proposal_comes_back_to_whoever_has_put_it_down() -> None:
    """But for the share that is kept when the friend takes its proposal back."""
    chain = restricted(friend=DEPOSIT)
    submit = MsgSubmitProposal(
        proposer=FRIEND.address, title="title", summary="summary", initial_deposit=coins(DEPOSIT)
    )
    assert chain.deliver(FRIEND, submit).code == 0
    assert chain.deliver(THIEF, MsgDeposit(proposal_id=1, depositor=THIEF.address, amount=coins(DEPOSIT))).code == 0
    assert chain.deliver(FRIEND, MsgCancelProposal(proposal_id=1, proposer=FRIEND.address)).code == 0
    chain.block()
    assert chain.balance(FRIEND.address) == DEPOSIT // 2
    assert chain.balance(THIEF.address) == COINS - DEPOSIT // 2


def test_w21_collateral_comes_back_to_whoever_has_put_it_down(restricted_chain: Chain) -> None:
    chain = restricted_chain
    amount = coins(FREE)[0]
    assert chain.deliver(THIEF, MsgDepositCollateral(participant=THIEF.address, amount=amount)).code == 0
    assert chain.deliver(FRIEND, MsgWithdrawCollateral(participant=FRIEND.address, amount=amount)).code != 0
    assert chain.deliver(FRIEND, MsgWithdrawCollateral(participant=THIEF.address, amount=amount)).code != 0
    assert chain.deliver(THIEF, MsgWithdrawCollateral(participant=THIEF.address, amount=amount)).code == 0
    chain.advance(epochs.effective(chain.state).boundaries.next_poc_start)
    chain.advance(epochs.latest(chain.state).boundaries.set_new_validators)
    assert chain.balance(THIEF.address) == COINS - FREE
    chain.advance(epochs.effective(chain.state).boundaries.next_poc_start)
    assert (chain.balance(THIEF.address), chain.balance(FRIEND.address)) == (COINS, 1)


def test_w21_a_fee_of_all_ones_coins_makes_nobody_rich_but_the_community_pool(restricted_chain: Chain) -> None:
    chain = restricted_chain
    assert chain.deliver(THIEF, granted(MsgSend()), fee=COINS).code == 0
    assert (chain.balance(THIEF.address), chain.balance(FRIEND.address)) == (0, 1)


def test_w21_a_gateway_that_is_changed_after_the_start_gets_no_refund_of_the_other_ones_coins() -> None:
    network = Checking()
    start = make_start(network.block, developer=key("poor"))
    network.deliver(start)
    agent = participants.require_participant(network.state, start.transferred_by)
    agent.gateway_address = FRIEND.address
    participants.put(network.state, agent)
    network.advance(network.record(start.inference_id).expires_at_height)
    expire_due(network.block)
    assert balance(network.state, FRIEND.address) == 0
    assert balance(network.state, gateway("alice").address) == GATEWAY_COINS


@pytest.mark.parametrize("name", [*MODULE_ACCOUNTS, *ABSENT_MODULES])
def test_nobody_loses_coins_to_an_account_that_nobody_can_open(name: str) -> None:
    chain = Chain({THIEF.address: COINS})
    target = of_module(name)
    for message in (
        MsgSend(from_address=THIEF.address, to_address=target, amount=coins(1)),
        MsgCreatePermanentLockedAccount(from_address=THIEF.address, to_address=target, amount=coins(1)),
    ):
        assert chain.deliver(THIEF, message).code != 0
    assert chain.balance(THIEF.address) == COINS


MOVERS = {
    "fees.py": "the fee, to the community pool",
    "modules/bank/state.py": "`send`, with events",
    "modules/collateral/messages.py": "a deposit",
    "modules/collateral/release.py": "a withdrawal, to whoever has deposited",
    "modules/collateral/slash.py": "a slash, to the community pool",
    "modules/gov/deposits.py": "a deposit, and back to the depositor or to the community pool",
    "modules/gov/governed.py": "out of the community pool, by a vote",
    "modules/inferences/escrow.py": "an escrow, and what is left of it to whoever has paid it",
    "modules/inferences/sharing.py": "a refund, to whoever has paid",
    "modules/restrictions/messages.py": "an emergency transfer, by an exemption",
    "modules/restrictions/transfers.py": "a transfer, unless it is restricted",
    "modules/rewards/messages.py": "a claim",
    "modules/rewards/settlement.py": "shares of the reward, and what nobody gets, to the community pool",
    "modules/streamvesting/release.py": "a slot that is due",
    "modules/streamvesting/state.py": "a claim, to the account of what vests",
    "modules/training/lifetime.py": "a task's deposit, back to who has put it down",
    "modules/training/messages.py": "a task's deposit",
}
"""Every file whose code moves coins, and what for. Users' own transfers have one way only."""


def test_w21_coins_move_in_these_places_only() -> None:
    """A new place is a decision: is it a transfer between users, which goes through `restrictions.transfers`, or not?"""
    root = Path(pivot.chain.__file__).parent
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.py") if _moves_coins(path)} == MOVERS.keys()


def _moves_coins(path: Path) -> bool:
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "pivot.chain.modules.bank.state"
        for alias in node.names
        if alias.name in ("move", "send")
    }
    own = {"move"} if path.parts[-2:] == ("bank", "state.py") else set()
    return bool(called & (imported | own))


def test_no_amount_below_0_can_be_moved() -> None:
    block = plain_block(balances={THIEF.address: 5})
    for amount in (-1, -(2**63)):
        with pytest.raises(ValueError, match="cannot be moved"):
            move(block.state, THIEF.address, FRIEND.address, amount)
    assert spendable(block.state, THIEF.address) == 5


@pytest.mark.parametrize("amount", ["0", "-1", str(2**63), str(2**64), "1e3", "１", "+5", " 5", ""])
def test_amounts_that_are_no_amounts_are_refused_by_every_message_with_their_field(
    restricted_chain: Chain, amount: str
) -> None:
    coin = Coin(denom="ngonka", amount=amount)
    source, target = THIEF.address, FRIEND.address
    messages: list[tuple[str, Message]] = [
        ("amount", MsgSend(from_address=source, to_address=target, amount=[coin])),
        ("amount", MsgCreatePermanentLockedAccount(from_address=source, to_address=target, amount=[coin])),
        ("amount", MsgDepositCollateral(participant=source, amount=coin)),
        ("amount", MsgWithdrawCollateral(participant=source, amount=coin)),
        (
            "initial_deposit",
            MsgSubmitProposal(proposer=source, title="title", summary="summary", initial_deposit=[coin]),
        ),
        (
            "outputs.coins",
            MsgMultiSend(
                inputs=[Input(address=source, coins=coins(1))], outputs=[Output(address=target, coins=[coin])]
            ),
        ),
        (
            "vesting_periods.amount",
            MsgCreatePeriodicVestingAccount(
                from_address=source,
                to_address=target,
                start_time=1,
                vesting_periods=[Period(length=1, amount=[coin])],
            ),
        ),
    ]
    for field, message in messages:
        result = restricted_chain.deliver(THIEF, message)
        assert (result.code != 0, f"{field}: " in result.log) == (True, True), result.log


def test_the_developer_pays_before_the_gateway_and_is_refunded_after_it() -> None:
    """Nobody gets back more than it gave, whatever becomes of the request."""
    network = Checking()
    move(network.state, DEVELOPER.address, key("half").address, 600)
    start = make_start(network.block, developer=key("half"))
    network.deliver(start)
    assert balance(network.state, key("half").address) == 0
    before = balance(network.state, ESCROW)
    network.deliver(make_finish(start, prompt_token_count=0, completion_token_count=0))
    assert balance(network.state, key("half").address) == 600
    assert balance(network.state, gateway("alice").address) == GATEWAY_COINS
    assert balance(network.state, ESCROW) == before - 1_200
