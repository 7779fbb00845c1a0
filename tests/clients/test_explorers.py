"""What Keplr asks before it adds a chain, and what explorers show, over REST from a real chain, as a Cosmos chain answers it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey as CosmpyKey

from pivot.chain.results import PLACES
from pivot.protocol.messages import pack
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key
from tests.chain.server.engine import wait_until
from tests.clients.wallet_chain import WalletChain

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(120)]
ALICE = key("carol").address
RECIPIENT = key("explored").address


def ask(chain: WalletChain, path: str, **query: str) -> Any:
    """The JSON of a path. Raises HTTPError."""
    with urllib.request.urlopen(f"{chain.rest_url}{path}?{urlencode(query)}") as answer:
        return json.load(answer)


def refusal(chain: WalletChain, path: str, **query: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(chain, path, **query)
    with refused.value as answer:
        return answer.code, json.load(answer)


@pytest.fixture(scope="module")
def sent(wallet_chain: WalletChain) -> str:
    """The hash of a transaction that is in a block."""
    config = NetworkConfig(
        chain_id=wallet_chain.chain_id,
        url=f"rest+{wallet_chain.rest_url}",
        fee_minimum_gas_price=0,
        fee_denomination="ngonka",
        staking_denomination="ngonka",
    )
    wallet = LocalWallet(CosmpyKey(bytes.fromhex(key("carol").secret_hex)), prefix="gonka")
    submitted = LedgerClient(config).send_tokens(Address(RECIPIENT), 77, "ngonka", wallet, memo="explored")
    submitted.wait_to_complete(timeout=30, poll_period=0.2)
    return str(submitted.tx_hash)


def test_the_node_says_which_chain_it_is_of(wallet_chain: WalletChain) -> None:
    told = ask(wallet_chain, "/cosmos/base/tendermint/v1beta1/node_info")
    assert told["default_node_info"]["network"] == wallet_chain.chain_id
    assert told["default_node_info"]["protocol_version"] == {"p2p": "8", "block": "11", "app": "0"}
    assert told["application_version"]["cosmos_sdk_version"].startswith("v0.5")
    assert ask(wallet_chain, "/cosmos/base/tendermint/v1beta1/syncing") == {"syncing": False}


def test_the_coin_has_its_metadata(wallet_chain: WalletChain) -> None:
    (coin,) = ask(wallet_chain, "/cosmos/bank/v1beta1/denoms_metadata")["metadatas"]
    assert (coin["base"], coin["symbol"]) == ("ngonka", "GNK")
    assert {"denom": "gonka", "exponent": 9, "aliases": []} in coin["denom_units"]
    assert ask(wallet_chain, "/cosmos/bank/v1beta1/supply/by_denom", denom="ngonka")["amount"]["denom"] == "ngonka"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("auth/v1beta1/params", {"max_memo_characters": "256", "tx_sig_limit": "7"}),
        ("bank/v1beta1/params", {"default_send_enabled": True}),
        ("staking/v1beta1/params", {"bond_denom": "ngonka", "min_commission_rate": "0.000000000000000000"}),
        (
            "slashing/v1beta1/params",
            {"min_signed_per_window": "0.500000000000000000", "downtime_jail_duration": "600s"},
        ),
        ("distribution/v1beta1/params", {"community_tax": "0.000000000000000000"}),
        ("gov/v1/params/voting", {"voting_period": "20s", "quorum": "0.334000000000000000"}),
        ("consensus/v1/params", {"validator": {"pub_key_types": ["ed25519"]}}),
    ],
)
def test_modules_tell_their_parameters(wallet_chain: WalletChain, path: str, fields: dict[str, Any]) -> None:
    params = ask(wallet_chain, f"/cosmos/{path}")["params"]
    assert {name: params[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bank/v1beta1/balances/{new}", {"balances": [], "pagination": {"next_key": None, "total": "0"}}),
        ("staking/v1beta1/delegations/{new}", {"delegation_responses": []}),
        ("staking/v1beta1/delegators/{new}/unbonding_delegations", {"unbonding_responses": []}),
        ("distribution/v1beta1/delegators/{new}/rewards", {"rewards": [], "total": []}),
        ("authz/v1beta1/grants/grantee/{new}", {"grants": []}),
        ("feegrant/v1beta1/allowances/{new}", {"allowances": []}),
        ("mint/v1beta1/inflation", {"inflation": "0.000000000000000000"}),
        ("mint/v1beta1/annual_provisions", {"annual_provisions": "0.000000000000000000"}),
        ("upgrade/v1beta1/current_plan", {"plan": None}),
        ("base/node/v1beta1/config", {"minimum_gas_price": "", "halt_height": "0"}),
    ],
)
def test_a_new_account_gets_empty_lists(wallet_chain: WalletChain, path: str, expected: dict[str, Any]) -> None:
    told = ask(wallet_chain, f"/cosmos/{path.format(new=key('new').address)}")
    assert {name: told[name] for name in expected} == expected


def test_validators_are_those_of_the_engine(wallet_chain: WalletChain) -> None:
    (validator,) = ask(wallet_chain, "/cosmos/staking/v1beta1/validators", status="BOND_STATUS_BONDED")["validators"]
    assert validator["delegator_shares"] == f"{validator['tokens']}.{'0' * 18}"
    (of_engine,) = ask(wallet_chain, "/cosmos/base/tendermint/v1beta1/validatorsets/latest")["validators"]
    assert of_engine["pub_key"] == validator["consensus_pubkey"]
    (signing,) = ask(wallet_chain, "/cosmos/slashing/v1beta1/signing_infos")["info"]
    assert signing["address"] == of_engine["address"]
    assert ask(wallet_chain, f"/cosmos/slashing/v1beta1/signing_infos/{signing['address']}")["val_signing_info"]


def test_a_transaction_is_shown_whole(wallet_chain: WalletChain, sent: str) -> None:
    told = ask(wallet_chain, f"/cosmos/tx/v1beta1/txs/{sent}")
    (message,) = told["tx"]["body"]["messages"]
    assert message == {
        "@type": "/cosmos.bank.v1beta1.MsgSend",
        "from_address": ALICE,
        "to_address": RECIPIENT,
        "amount": [{"denom": "ngonka", "amount": "77"}],
    }
    assert told["tx_response"]["tx"] == {"@type": "/cosmos.tx.v1beta1.Tx"} | told["tx"]
    events = {event["type"]: event["attributes"] for event in told["tx_response"]["events"]}
    assert [each["key"] for each in events["transfer"]] == ["recipient", "sender", "amount", "msg_index"]
    assert all(each["index"] is (each["key"] not in PLACES) for attributes in events.values() for each in attributes)
    height = told["tx_response"]["height"]
    block = ask(wallet_chain, f"/cosmos/tx/v1beta1/txs/block/{height}")
    assert told["tx"] in block["txs"]
    assert block["block"]["header"]["height"] == height


def test_transactions_are_searched_in_both_ways_and_in_order(wallet_chain: WalletChain, sent: str) -> None:
    old = ask(wallet_chain, "/cosmos/tx/v1beta1/txs", events=f"transfer.recipient='{RECIPIENT}'")
    new = ask(wallet_chain, "/cosmos/tx/v1beta1/txs", query=f"transfer.recipient='{RECIPIENT}'")
    assert [each["txhash"] for each in old["tx_responses"]] == [sent]
    assert old == new
    last = ask(wallet_chain, "/cosmos/tx/v1beta1/txs", query="tx.height>0", order_by="ORDER_BY_DESC", limit="1")
    assert len(last["txs"]) == 1
    assert int(last["total"]) >= 1
    first = ask(wallet_chain, "/cosmos/tx/v1beta1/txs", query="tx.height>0", order_by="1", limit="1")
    assert int(first["tx_responses"][0]["height"]) <= int(last["tx_responses"][0]["height"])


def test_a_blocks_own_events_say_when_they_have_happened(wallet_chain: WalletChain) -> None:
    first_sprint = preset_params("test").epoch_params.epoch_shift
    wait_until(lambda: int(ask(wallet_chain, "/cosmos/base/node/v1beta1/status")["height"]) > first_sprint)
    with urllib.request.urlopen(f"{wallet_chain.rpc_url}/block_results?height={first_sprint}") as answer:
        events = json.load(answer)["result"]["finalize_block_events"]
    begun = next(event for event in events if event["type"] == "poc_started")
    assert begun["attributes"][-1] == {"key": "mode", "value": "BeginBlock", "index": True}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/cosmos/auth/v1beta1/accounts/" + key("new").address, {}, 404, 5),
        ("/cosmos/auth/v1beta1/accounts/bad", {}, 400, 3),
        ("/cosmos/tx/v1beta1/txs/" + "00" * 32, {}, 404, 5),
        ("/cosmos/tx/v1beta1/txs", {}, 400, 3),
        ("/cosmos/base/tendermint/v1beta1/blocks/999999999", {}, 400, 3),
        ("/cosmos/auth/v1beta1/accounts", {"pagination.limit": "-1"}, 400, 3),
        ("/cosmos/auth/v1beta1/accounts", {"pagination.key": "AA==", "pagination.offset": "1"}, 400, 3),
        ("/cosmos/gov/v1/proposals/999", {}, 404, 5),
        ("/cosmos/no/such/path", {}, 501, 12),
    ],
)
def test_refusals_have_the_gateways_shape(
    wallet_chain: WalletChain, path: str, query: dict[str, str], status: int, code: int
) -> None:
    found, document = refusal(wallet_chain, path, **query)
    assert (found, document["code"], document["details"]) == (status, code, [])
    assert document["message"]


def test_a_transaction_is_decoded_and_encoded_again(wallet_chain: WalletChain, sent: str) -> None:
    shown = ask(wallet_chain, f"/cosmos/tx/v1beta1/txs/{sent}")["tx"]

    def post(path: str, document: Any) -> Any:
        body = json.dumps(document).encode()
        request = urllib.request.Request(wallet_chain.rest_url + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    raw = post("/cosmos/tx/v1beta1/encode", {"tx": shown})["tx_bytes"]
    assert post("/cosmos/tx/v1beta1/decode", {"tx_bytes": raw})["tx"] == shown


def test_a_model_and_a_message_type_are_named_in_one_segment(wallet_chain: WalletChain) -> None:
    """They hold slashes, which are percent-encoded."""
    prefix = "/productscience/inference/inference"
    told = ask(wallet_chain, f"{prefix}/model_per_token_price/{quote('org/model', safe='')}")
    assert told == {"price": "0", "found": False}
    url = pack(MsgSend(amount=[Coin()])).type_url
    assert ask(wallet_chain, f"{prefix}/grantees_by_message_type/{ALICE}/{quote(url, safe='')}") == {"grantees": []}
