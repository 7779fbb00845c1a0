"""cosmpy and @cosmjs/stargate, unmodified, on a real chain: coins, staking reads, governance, permissions, searches, several keys."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance
from cosmos.gov.v1.gov_pb2 import VOTE_OPTION_YES
from cosmos.gov.v1.tx_pb2 import MsgSubmitProposal, MsgVote
from cosmos.tx.v1beta1.service_pb2 import GetTxsEventRequest
from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.client.utils import prepare_and_broadcast_basic_transaction
from cosmpy.aerial.exceptions import NotFoundError
from cosmpy.aerial.tx import Transaction, TxFee
from cosmpy.aerial.tx_helpers import TxResponse
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey as CosmpyKey
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.protocol.messages import pack
from tests.chain.chain import key
from tests.clients.wallet_chain import COINS, WalletChain

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(300)]
COSMJS = "0.39.0"
PACKAGES = ("amino", "encoding", "proto-signing", "stargate", "tendermint-rpc")
BASE = "@scure/base@2.0.0"
"""A later one refuses what this @cosmjs asks it for multisignature addresses."""
INSTALL_TIMEOUT_SECONDS = 180
RUN_TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def cosmjs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with @cosmjs and the script that uses it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("cosmjs")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    command += [*(f"@cosmjs/{name}@{COSMJS}" for name in PACKAGES), BASE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
    if done.returncode:
        pytest.skip(f"@cosmjs cannot be installed here: {done.stderr[-300:]}")
    shutil.copy(Path(__file__).parent / "wallet.mjs", folder)
    return folder


@pytest.fixture(scope="module")
def told(wallet_chain: WalletChain, cosmjs: Path) -> dict[str, Any]:
    """What each step of `wallet.mjs` has come to."""
    keys = [key(name).secret_hex for name in ("alice", "bob", "host")]
    script = ["node", "wallet.mjs", wallet_chain.rpc_url, *keys]
    done = subprocess.run(script, cwd=cosmjs, capture_output=True, text=True, timeout=RUN_TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return {step["name"]: step["told"] for step in map(json.loads, done.stdout.splitlines())}


def test_cosmjs_reads_what_a_wallet_asks_first(told: dict[str, Any], wallet_chain: WalletChain) -> None:
    assert told["reads"] == {
        "chainId": wallet_chain.chain_id,
        "height": True,
        "block": 1,
        "unknownAccount": None,
        "staked": None,
        "delegation": None,
        "balances": 0,
        "metadata": "ngonka",
        "supply": "ngonka",
    }


def test_cosmjs_reads_validators_and_that_nobody_delegates(told: dict[str, Any]) -> None:
    staking = told["staking"]
    ((tokens, shares),) = staking["validators"]
    assert shares == tokens + "0" * 18
    assert staking["bonded"] == tokens
    assert (staking["bondDenom"], staking["window"], staking["signing"]) == ("ngonka", "100", 1)
    assert (staking["delegations"], staking["rewards"]) == (0, 0)
    assert (staking["inflation"], staking["annualProvisions"]) == ("0", "0")


def test_cosmjs_sends_coins_and_finds_the_transaction(told: dict[str, Any]) -> None:
    sent = told["send"]
    assert (sent["code"], sent["height"], sent["balance"]) == (0, True, {"denom": "ngonka", "amount": "1234"})
    assert sent["events"] == ["tx", "tx", "tx", "message", "coin_spent", "coin_received", "transfer", "message"]
    assert told["search"] == {"recipient": 1, "byHeight": True, "unknown": None}


def test_cosmjs_sends_in_amino_json(told: dict[str, Any]) -> None:
    assert told["sendInAmino"] == {"code": 0, "balance": {"denom": "ngonka", "amount": "5"}}


def test_cosmjs_sends_to_many(told: dict[str, Any]) -> None:
    assert told["multiSend"] == {"code": 0, "amounts": ["1", "2"]}


def test_cosmjs_simulates(told: dict[str, Any]) -> None:
    assert told["simulate"]["gas"] > 20_000
    assert "insufficient funds" in told["simulate"]["refused"]


def test_cosmjs_understands_a_refusal(told: dict[str, Any]) -> None:
    assert told["refusal"]["code"] == 5
    assert "insufficient funds" in told["refusal"]["log"]


def test_cosmjs_proposes_and_votes(told: dict[str, Any]) -> None:
    governance = told["governance"]
    assert (governance["submitted"], governance["voted"]) == (0, 0)
    assert int(governance["proposalId"]) >= 1
    assert governance["notAMember"] != 0


def test_cosmjs_proposes_votes_and_reads_in_the_older_version(told: dict[str, Any]) -> None:
    """As many wallets still do; the vote is signed in amino JSON."""
    expected = {"submitted": 0, "title": "An old text", "voted": 0, "weight": "1" + "0" * 18, "quorum": True}
    assert told["oldGovernance"] == expected


def test_cosmjs_permits_and_acts_for_another(told: dict[str, Any]) -> None:
    expected = {"granted": 0, "done": 0, "grants": 1, "balance": "9", "foundUnderGranter": True}
    assert told["authz"] == expected


def test_cosmjs_has_another_pay_the_fee(told: dict[str, Any]) -> None:
    left = [{"denom": "ngonka", "amount": "93"}]
    assert told["feegrant"] == {"granted": 0, "sent": 0, "bobPaid": "1", "left": left}


def test_cosmjs_signs_with_two_of_three_keys(told: dict[str, Any]) -> None:
    assert told["multisig"] == {"code": 0, "log": "", "balance": "60"}


class Person:
    """Somebody with a cosmpy wallet."""

    def __init__(self, ledger: LedgerClient, name: str) -> None:
        self.ledger = ledger
        self.wallet = LocalWallet(CosmpyKey(bytes.fromhex(key(name).secret_hex)), prefix="gonka")
        self.address = str(self.wallet.address())

    def send(self, *messages: Message, fee: TxFee | None = None) -> TxResponse:
        """Have it in a block. Raises what cosmpy raises."""
        transaction = Transaction()
        for message in messages:
            transaction.add_message(message)
        submitted = prepare_and_broadcast_basic_transaction(self.ledger, transaction, self.wallet, fee=fee)
        submitted.wait_to_complete(timeout=30, poll_period=0.2)
        assert submitted.response is not None
        return submitted.response


@pytest.fixture(params=["rest", "grpc"])
def ledger(request: pytest.FixtureRequest, wallet_chain: WalletChain) -> LedgerClient:
    url = f"rest+{wallet_chain.rest_url}" if request.param == "rest" else f"grpc+http://{wallet_chain.grpc_url}"
    config = NetworkConfig(
        chain_id=wallet_chain.chain_id,
        url=url,
        fee_minimum_gas_price=0,
        fee_denomination="ngonka",
        staking_denomination="ngonka",
    )
    return LedgerClient(config)


@pytest.fixture
def alice(ledger: LedgerClient) -> Person:
    return Person(ledger, "alice")


@pytest.fixture
def carol(ledger: LedgerClient) -> Person:
    return Person(ledger, "carol")


def coins(amount: int) -> list[Coin]:
    return [Coin(denom="ngonka", amount=str(amount))]


def newcomer(text: str) -> Address:
    """An address that has nothing yet, of a test and what it came by."""
    return Address(key(text).address)


def test_cosmpy_sends_coins_and_finds_the_transaction(
    ledger: LedgerClient, alice: Person, request: pytest.FixtureRequest
) -> None:
    recipient = newcomer(request.node.name)
    assert ledger.query_bank_balance(recipient, "ngonka") == 0
    submitted = ledger.send_tokens(recipient, 4321, "ngonka", alice.wallet)
    submitted.wait_to_complete(timeout=30, poll_period=0.2)
    assert ledger.query_bank_balance(recipient, "ngonka") == 4321
    assert [(each.denom, each.amount) for each in ledger.query_bank_all_balances(recipient)] == [("ngonka", "4321")]
    found = ledger.query_tx(submitted.tx_hash)
    assert (found.code, found.hash) == (0, submitted.tx_hash)
    query = GetTxsEventRequest(query=f"transfer.recipient='{recipient}'")
    answer = ledger.txs.GetTxsEvent(query)
    assert [each.txhash for each in answer.tx_responses] == [submitted.tx_hash]
    with pytest.raises(NotFoundError):
        ledger.query_tx("00" * 32)


def test_cosmpy_sends_to_many(ledger: LedgerClient, alice: Person, request: pytest.FixtureRequest) -> None:
    receivers = [newcomer(f"{request.node.name} {number}") for number in range(2)]
    message = MsgMultiSend(
        inputs=[Input(address=alice.address, coins=coins(3))],
        outputs=[Output(address=str(each), coins=coins(1 + i)) for i, each in enumerate(receivers)],
    )
    assert alice.send(message).code == 0
    assert [ledger.query_bank_balance(each, "ngonka") for each in receivers] == [1, 2]


def test_cosmpy_reads_the_node_and_staking(ledger: LedgerClient, alice: Person, wallet_chain: WalletChain) -> None:
    (validator,) = ledger.query_validators()
    assert validator.tokens > 0
    summary = ledger.query_staking_summary(alice.wallet.address())
    assert (summary.total_staked, summary.total_rewards, summary.total_unbonding) == (0, 0, 0)
    assert ledger.query_chain_id() == wallet_chain.chain_id
    assert ledger.query_node_info().app_name == "pivot"
    height = ledger.query_height()
    assert ledger.query_block(height).height == height
    assert ledger.query_consensus_params().params.block.max_bytes > 0


def test_cosmpy_simulates(ledger: LedgerClient, alice: Person) -> None:
    send = MsgSend(from_address=alice.address, to_address=alice.address, amount=coins(1))
    response = alice.send(send)
    assert response.code == 0
    assert response.gas_used <= response.gas_wanted < 2 * response.gas_used  # cosmpy adds a share of its own


def test_cosmpy_proposes_and_votes(ledger: LedgerClient, alice: Person) -> None:
    proposal = MsgSubmitProposal(
        initial_deposit=coins(50_000_000), proposer=alice.address, title="A text", summary="says it", expedited=True
    )
    submitted = alice.send(proposal)
    (number,) = {
        value
        for name, attributes in submitted.events.items()
        for attribute, value in attributes.items()
        if (name, attribute) == ("submit_proposal", "proposal_id")
    }
    host = Person(ledger, "host")
    vote = MsgVote(proposal_id=int(number), voter=host.address, option=VOTE_OPTION_YES)
    assert host.send(vote).code == 0


def test_cosmpy_permits_and_acts_for_another(
    ledger: LedgerClient, alice: Person, carol: Person, request: pytest.FixtureRequest
) -> None:
    recipient = newcomer(request.node.name)
    expiration = Timestamp(seconds=int(time.time()) + 3_600)
    grant = Grant(authorization=pack(GenericAuthorization(msg="/cosmos.bank.v1beta1.MsgSend")), expiration=expiration)
    assert alice.send(MsgGrant(granter=alice.address, grantee=carol.address, grant=grant)).code == 0
    inner = MsgSend(from_address=alice.address, to_address=str(recipient), amount=coins(9))
    assert carol.send(MsgExec(grantee=carol.address, msgs=[pack(inner)])).code == 0
    assert ledger.query_bank_balance(recipient, "ngonka") == 9


def test_cosmpy_has_another_pay_the_fee(ledger: LedgerClient, alice: Person, request: pytest.FixtureRequest) -> None:
    granter = Person(ledger, "bob")
    poor = Person(ledger, request.node.name)
    ledger.send_tokens(Address(poor.address), 5, "ngonka", alice.wallet).wait_to_complete(timeout=30, poll_period=0.2)
    allowance = pack(BasicAllowance(spend_limit=coins(100)))
    granted = granter.send(MsgGrantAllowance(granter=granter.address, grantee=poor.address, allowance=allowance))
    assert granted.code == 0
    before = ledger.query_bank_balance(Address(granter.address), "ngonka")
    send = MsgSend(from_address=poor.address, to_address=poor.address, amount=coins(5))
    fee = TxFee(amount="7ngonka", gas_limit=300_000, granter=Address(granter.address))
    assert poor.send(send, fee=fee).code == 0
    assert before - ledger.query_bank_balance(Address(granter.address), "ngonka") == 7
    assert before <= COINS
